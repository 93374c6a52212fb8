package edge

import (
	"bytes"
	"sync"
)

// buffers keeps encoding buffers from one answer to the next.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// KeepBuffer is the size in bytes up to which memory is worth keeping from one
// call to the next; what an unusual call made larger is let go.
const KeepBuffer = 1 << 18

// takeBuffer returns an empty buffer, to be given back with dropBuffer.
func takeBuffer() *bytes.Buffer { return buffers.Get().(*bytes.Buffer) }

// dropBuffer gives a buffer back. Its bytes must no longer be used.
func dropBuffer(b *bytes.Buffer) {
	if b.Cap() <= KeepBuffer {
		b.Reset()
		buffers.Put(b)
	}
}
