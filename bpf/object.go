package bpf

import "bytes"

// GatewayObject returns the compiled object: what identifies its programs.
func GatewayObject() []byte { return bytes.Clone(_GatewayBytes) }

// ShapeObject returns the compiled object that holds bandwidths.
func ShapeObject() []byte { return bytes.Clone(_ShapeBytes) }
