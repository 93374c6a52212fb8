// Package sorted has sets that are sorted by key, never change, and share with the sets
// that they were made from whatever both have.
//
// A network has up to a hundred thousand DNAT entries, and mostly one of them changes. To
// make a set with another item in it costs as much as the depth of a tree, and so does
// finding out what two such sets differ in: what they share is not visited.
package sorted
