package bpf

import "bytes"

// GatewayObject returns the compiled object: what identifies its programs.
func GatewayObject() []byte { return bytes.Clone(_GatewayBytes) }
