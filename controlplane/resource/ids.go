package resource

import gonanoid "github.com/matoous/go-nanoid/v2"

// IDs is the form of the ids that a family's services give: a prefix for the kind, a
// hyphen, and Length characters of Alphabet.
type IDs struct {
	Alphabet string
	Length   int
	Prefixes map[string]string // the family's own, where that is another than the services name
}

// InterfaceIDs is the form of the ids of network interfaces, whoever makes them: that of the
// only family with actions on them (eni-f1xjkw1b; Tencent Cloud's document).
var InterfaceIDs = IDs{Alphabet: "0123456789abcdefghijklmnopqrstuvwxyz", Length: 8}

// InterfacePrefix is what the id of a network interface begins with.
const InterfacePrefix = "eni"

// Draw returns an id at random, which may be taken already: see state.Tx.NewID.
func (f IDs) Draw(prefix string) string {
	if own, ok := f.Prefixes[prefix]; ok {
		prefix = own
	}
	return prefix + "-" + gonanoid.MustGenerate(f.Alphabet, f.Length)
}
