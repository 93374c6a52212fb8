package resource

import gonanoid "github.com/matoous/go-nanoid/v2"

// IDs is the form of the ids that a family's services give: a prefix for the kind, a
// hyphen, and Length characters of Alphabet.
type IDs struct {
	Alphabet string
	Length   int
	Prefixes map[string]string // the family's own, where that is another than the services name
}

// Draw returns an id at random, which may be taken already: see state.Tx.NewID.
func (f IDs) Draw(prefix string) string {
	if own, ok := f.Prefixes[prefix]; ok {
		prefix = own
	}
	return prefix + "-" + gonanoid.MustGenerate(f.Alphabet, f.Length)
}
