package resource

import gonanoid "github.com/matoous/go-nanoid/v2"

// IDs is the form of the ids that a family's services give: a prefix for the kind, a
// hyphen, and Length characters of Alphabet.
type IDs struct {
	Alphabet string
	Length   int
}

// Draw returns an id at random, which may be taken already: see state.Tx.NewID.
func (f IDs) Draw(prefix string) string {
	return prefix + "-" + gonanoid.MustGenerate(f.Alphabet, f.Length)
}
