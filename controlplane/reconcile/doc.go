// Package reconcile keeps the dataplane following the resources.
//
// It is level-triggered: what it is told (a commit, a change of the kernel by
// somebody else, a timer) only names networks that want a look. The look
// compiles the network from the newest view, hands it to the dataplane, and
// reports the outcome to state.Observed, from where it becomes the state of
// the resources. A network that fails is tried again for as long as it is
// wanted, and never holds up another one.
//
// The package knows neither rules about resources nor the kernel.
package reconcile
