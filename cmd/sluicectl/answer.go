package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// part returns an answer as indented JSON, or with a path (members and indexes
// from 0, separated by dots) the part of it that is there; text is then written
// without quotes, so that a shell can use it.
func part(answer []byte, path string) (string, error) {
	if path == "" {
		var pretty bytes.Buffer
		if err := json.Indent(&pretty, answer, "", "  "); err != nil {
			return "", fmt.Errorf("the answer is not JSON: %.200q", answer)
		}
		return pretty.String(), nil
	}
	rest := json.RawMessage(answer)
	for step := range strings.SplitSeq(path, ".") {
		next, err := member(rest, step)
		if err != nil {
			return "", fmt.Errorf("the answer has no %s: %w", path, err)
		}
		rest = next
	}
	var text string
	if json.Unmarshal(rest, &text) == nil {
		return text, nil
	}
	return part(rest, "")
}

func member(value json.RawMessage, step string) (json.RawMessage, error) {
	var object map[string]json.RawMessage
	if json.Unmarshal(value, &object) == nil {
		if m, ok := object[step]; ok {
			return m, nil
		}
		return nil, fmt.Errorf("there is no member %s", step)
	}
	var list []json.RawMessage
	if json.Unmarshal(value, &list) == nil {
		i, err := strconv.Atoi(step)
		if err != nil || i < 0 || i >= len(list) {
			return nil, fmt.Errorf("%s is no index of a list of %d", step, len(list))
		}
		return list[i], nil
	}
	return nil, fmt.Errorf("nothing is inside %.40s", value)
}
