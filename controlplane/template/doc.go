// Package template carries out the actions on templates: lists of addresses and of services that
// rules of security groups name, and groups of them. It takes values, and changes resources in
// a transaction each; which networks have to follow, their registration says.
package template
