// Package config reads the configuration of sluiced: a YAML file in, a checked
// Config out, or one line that says which file, line and field is wrong and
// what would be right.
//
// It knows what a configuration may say. It must not know what is made of it:
// it opens no socket, no store and no kernel object.
package config
