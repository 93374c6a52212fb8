// Sluicectl drives a sluiced: any action of the catalog over the signed API
// (call), what no document has an action for over the admin socket (accesskey,
// account, instance, status, top), what this machine can do (doctor), and a private
// gateway to try things on (lab). docs/sluicectl.md describes it.
//
// There is one file for each group of commands. They parse flags, call a
// package and print; the work is done elsewhere.
package main
