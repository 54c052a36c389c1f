//go:build verify

package assert

// On tells whether assertions are compiled in. It is a constant, so a block
// guarded by it costs nothing in an ordinary build.
const On = true

// That panics with msg when cond is false.
func That(cond bool, msg string) {
	if !cond {
		panic("assertion failed: " + msg)
	}
}
