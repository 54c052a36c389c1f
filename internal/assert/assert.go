// Package assert states invariants of our own code. Assertions exist only in
// binaries built with the tag "verify"; otherwise That is empty and inlined away.
//
// Assert what the code promises itself, never what a peer sent: input from the
// network is checked by ordinary code in every build. A condition that costs
// more than a comparison goes inside `if assert.On { … }`, because the caller
// evaluates the arguments of That before the call.
package assert
