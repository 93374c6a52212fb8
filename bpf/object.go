package bpf

import (
	"bytes"
	"sync"

	"github.com/cilium/ebpf"
)

// To read an object takes as long as to have the kernel load it, so each is read once. All
// callers share what these return, and copy what they change of it.
var (
	Gateway = sync.OnceValues(func() (*ebpf.CollectionSpec, error) { return withoutLines(LoadGateway()) })
	Ports   = sync.OnceValues(LoadPorts)
	Shape   = sync.OnceValues(LoadShape)
)

// ProgramNames returns the names of the programs that belong at network links, as the kernel has them.
func ProgramNames() (map[string]bool, error) {
	gateway, err := Gateway()
	if err != nil {
		return nil, err
	}
	names := map[string]bool{GroupsProgFromHost: true, GroupsProgToHost: true, GroupsProgFromSwitch: true, GroupsProgToSwitch: true}
	for name := range gateway.Programs {
		names[name] = true
	}
	return names, nil
}

// withoutLines takes off the programs what says of which line of the source each instruction comes. The
// kernel takes a sixth of the time for a program longer with it, and each network has its own.
func withoutLines(of *ebpf.CollectionSpec, err error) (*ebpf.CollectionSpec, error) {
	if err != nil {
		return nil, err
	}
	for _, p := range of.Programs {
		for i := range p.Instructions {
			p.Instructions[i] = p.Instructions[i].WithSource(nil)
		}
	}
	return of, nil
}

// Maps returns copies of an object's maps, which may be changed.
func Maps(of *ebpf.CollectionSpec) map[string]*ebpf.MapSpec {
	maps := make(map[string]*ebpf.MapSpec, len(of.Maps))
	for name, m := range of.Maps {
		maps[name] = m.Copy()
	}
	return maps
}

// GatewayObject returns the compiled object: what identifies its programs.
func GatewayObject() []byte { return bytes.Clone(_GatewayBytes) }

// ShapeObject returns the compiled object that holds bandwidths.
func ShapeObject() []byte { return bytes.Clone(_ShapeBytes) }

// GroupsObject returns the compiled object that holds security groups.
func GroupsObject() []byte { return bytes.Clone(_GroupsBytes) }
