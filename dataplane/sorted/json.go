package sorted

import (
	"encoding/json"
	"slices"
)

// MarshalJSON implements json.Marshaler: a list, as of a slice.
func (s Set[T]) MarshalJSON() ([]byte, error) { return json.Marshal(slices.Collect(s.All())) }

// UnmarshalJSON implements json.Unmarshaler.
func (s *Set[T]) UnmarshalJSON(text []byte) error {
	var items []T
	if err := json.Unmarshal(text, &items); err != nil {
		return err
	}
	*s = Of(items...)
	return nil
}
