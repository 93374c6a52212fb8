// Package deb tests the Debian package: it is installed in a Debian 12 of its own, makes a
// gateway there, is upgraded under traffic, removed and purged.
package deb
