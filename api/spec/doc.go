// Package spec is the catalog of actions as data: what every action of every
// wire family takes, gives, refuses and promises, as the vendors' documents
// state it.
//
// The facts lie in catalog/<family>/<group>.json (their form is described in
// README.md) and are compiled into the program. The generator in specgen turns
// them into request and response types; the command line uses them for
// completion and for describing actions; tests use them as the list of what
// has to be shown.
//
// It holds no state and must not know the control plane.
package spec

//go:generate go run ./specgen -root ../..
