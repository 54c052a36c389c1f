package relay

// Verdict is what two halves and their sockets add up to.
type Verdict uint8

// The verdicts, in the order a tunnel meets them.
const (
	StayOpen  Verdict = iota // both directions live
	HalfOpen                 // one direction has ended, the other lives on
	EndLinger                // nothing more to do but let the client read what it was sent
	EndClose                 // close both sockets now
)

// Outcome decides how a tunnel goes on. down is the half that starts at the
// client, up the one that starts at the upstream.
//
//	down     up       sockets                    verdict
//	any      any      client dead                EndClose: nobody is left to read
//	Shut     Shut     client's FIN was read      EndClose
//	Shut     Shut     the client may still send  EndLinger: an early close would reset
//	                                             the connection under the last bytes
//	any      Shut     upstream dead              as Shut, Shut: what the client still
//	                                             sends has nowhere to go
//	any      live     upstream dead              HalfOpen: what was taken is flushed first
//	Shut     live     –                          HalfOpen, either order
//	live     live     –                          StayOpen
func Outcome(down, up *Half) Verdict {
	switch {
	case down.Dead():
		return EndClose
	case up.State == Shut && (down.State == Shut || up.Dead()):
		if down.Bits&AtEOF != 0 {
			return EndClose
		}
		return EndLinger
	case down.State == Shut || up.State == Shut || up.Dead():
		return HalfOpen
	}
	return StayOpen
}
