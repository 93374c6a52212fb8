// Package securitygroup carries out the actions on security groups and their rules. It takes
// values, and changes a group in a transaction each, both directions of its rules in one; which
// networks have to follow, the group's registration says.
package securitygroup
