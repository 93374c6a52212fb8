// Package plan is how the packages of the kernel's facilities say what they
// would change: a Plan is a list of single changes that a comparison of the
// kernel's state with the wanted state found. It can be looked at without
// touching anything (an empty Plan means that nothing differs), logged, and
// carried out.
package plan
