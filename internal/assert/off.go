//go:build !verify

package assert

// On tells whether assertions are compiled in. It is a constant, so a block
// guarded by it costs nothing in an ordinary build.
const On = false

// That does nothing in an ordinary build; see the package comment.
func That(_ bool, _ string) {}
