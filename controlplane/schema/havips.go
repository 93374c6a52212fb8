package schema

import (
	"encoding/json"
	"fmt"
)

// haVips leads to schema 3, in which HaVips are a kind of their own. Until then they were
// instances that knew no others: every host of the VSwitch could have the address, and may
// still.
func haVips(kind string, r record) (string, error) {
	if kind != "instance" {
		return kind, nil
	}
	var of string
	if text, ok := r["type"]; ok {
		if err := json.Unmarshal(text, &of); err != nil {
			return kind, fmt.Errorf("type: %w", err)
		}
	}
	if of != "virtual-ip" {
		return kind, nil
	}
	for _, gone := range []string{"type", "mac", "limits", "state"} {
		delete(r, gone)
	}
	return "ha-vip", r.put("anyHost", true)
}
