// Package bpf holds the BPF programs of the dataplane, compiled: the objects,
// and the Go types of what the programs share with user space.
//
// The sources are the C files beside this one. The objects and their bindings
// are generated from them (make generate), and committed, so that building needs
// no compiler for BPF. The package must not know how programs are attached or
// what their maps are filled with; that is package dataplane/session.
package bpf

//go:generate go tool bpf2go -output-dir "$BPF_OUTPUT" -cc clang-14 -cflags "-O2 -g -Wall -Wextra -Wno-unused-parameter -Werror -mcpu=v3 -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu" -target bpfel -type gateway_settings -type gateway_state -type nat_limits -type nat_state -type known_gateway -type session -type flow_key -type slot_key -type address -type volume -type returned_counts -type host_key -type host_limits -type entry -type kind -type class -type bound_key -type bound -type source_report -type flow_id -type cached_flow -type bandwidth -type bandwidth_count -type bandwidth_state -type stat -output-stem gateway Gateway gateway.c
//go:generate go tool bpf2go -output-dir "$BPF_OUTPUT" -cc clang-14 -cflags "-O2 -g -Wall -Wextra -Wno-unused-parameter -Werror -mcpu=v3 -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu" -target bpfel -type exhausted_key -type refusal -output-stem ports Ports ports.c
//go:generate go tool bpf2go -output-dir "$BPF_OUTPUT" -cc clang-14 -cflags "-O2 -g -Wall -Wextra -Wno-unused-parameter -Werror -mcpu=v3 -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu" -target bpfel -type shaped_address -type bandwidth -type bandwidth_count -type bandwidth_state -output-stem shape Shape shape.c
//go:generate go tool bpf2go -output-dir "$BPF_OUTPUT" -cc clang-14 -cflags "-O2 -g -Wall -Wextra -Wno-unused-parameter -Werror -mcpu=v3 -I/usr/include/x86_64-linux-gnu -I/usr/include/aarch64-linux-gnu" -target bpfel -type group_settings -type group_member -type group_station -type group_policy -type group_rules -type group_class_key -type group_chunk_key -type group_chunk -type group_flow -type group_state -type group_reason -output-stem groups Groups groups.c
