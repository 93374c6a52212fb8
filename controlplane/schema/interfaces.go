package schema

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strconv"
)

// primaryInterfaces comes with schema 4, in which every host has a primary network interface,
// a record of its own with the host's address.
func primaryInterfaces(kind string, r record, taken func(id string) bool) (of, id string, made record, err error) {
	var host, class string
	if kind != "instance" {
		return "", "", nil, nil
	}
	for name, into := range map[string]*string{"id": &host, "type": &class} {
		if text, ok := r[name]; ok {
			if err := json.Unmarshal(text, into); err != nil {
				return "", "", nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	if class != "host" {
		return "", "", nil, nil
	}
	for again := 0; id == "" || taken(id); again++ {
		id = interfaceID(host, again)
	}
	made = record{}
	for _, same := range []string{"account", "region", "group", "createdAt", "created", "generation", "revision", "vpc", "vswitch", "mac"} {
		if text, ok := r[same]; ok {
			made[same] = text
		}
	}
	if at, ok := r["createdAt"]; ok {
		made["attachedAt"] = at
	}
	type address struct {
		Address json.RawMessage `json:"address"`
	}
	return "network-interface", id, made, all(
		func() error { return made.put("id", id) },
		func() error { return made.put("addresses", []address{{r["privateIp"]}}) },
		func() error { return made.put("instance", host) },
		func() error { return made.put("primary", true) },
	)
}

// interfaceID is the id that a host's primary interface gets: of the same store every machine
// makes the same. again counts those before that were taken.
func interfaceID(host string, again int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "primary interface %d of %s", again, host))
	const most = 36 * 36 * 36 * 36 * 36 * 36 * 36 * 36
	return fmt.Sprintf("eni-%08s", strconv.FormatUint(binary.BigEndian.Uint64(sum[:])%most, 36))
}
