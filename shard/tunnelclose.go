package shard

import (
	"math/rand/v2"

	"holdfast/observe"
	"holdfast/relay"
)

// codeGoingAway is the status code of a Close frame by which an endpoint says that it goes
// away (RFC 6455 section 7.4.1).
const codeGoingAway = 1001

const (
	// closeSayMs is how long a tunnel that we end may take to come to a frame boundary, and
	// its two ends to take their Close frames, in milliseconds.
	closeSayMs = 2000
	// closeAwaitMs is how long the Close frames, or the ends of the streams, of both are
	// awaited then.
	closeAwaitMs = 2000
)

// closing is what a tunnel in Closing has beside its record.
type closing struct {
	toUp, toDown farewell
	said         bool // both have been told
}

// farewell is the end of one direction of a tunnel that we end.
type farewell struct {
	frame  [relay.CloseMax]byte
	length uint8
	sent   uint8 // of the frame, to the destination
	told   bool  // the destination has got it, or gets nothing any more
	done   bool  // and the source has said its own Close since, or has ended its stream
}

// closeTunnel ends a tunnel on our own account. Each end of a WebSocket gets a Close frame
// with this status code behind the frame that is on its way to it (RFC 6455 section 7.1.2),
// and nothing after that; its own Close is awaited. Where that takes too long, and where
// frames are not followed, the connections just end. A session that is no tunnel, or is
// being ended already, is left alone.
func (sh *Shard) closeTunnel(s *Session, code uint16, reason observe.CloseReason) {
	if s.state != Tunnel && s.state != HalfClosed {
		return
	}
	s.cause(reason, observe.SideProxy)
	if !s.Down.Follows() || !s.Up.Follows() {
		sh.enterLinger(s)
		return
	}
	var c closing
	c.toUp.length = uint8(len(relay.AppendClose(c.toUp.frame[:0], code, true, rand.Uint32())))
	c.toDown.length = uint8(len(relay.AppendClose(c.toDown.frame[:0], code, false, 0)))
	if sh.closings == nil {
		sh.closings = map[uint32]closing{}
	}
	sh.closings[s.slot] = c
	sh.setState(s, Closing)
	sh.timers.Set(s.slot, sh.nowMs+closeSayMs)
	sh.houseSoon()
	sh.enqueue(s)
}

// onClosing tells both ends of a tunnel that it ends, and waits for them to do the same.
func (sh *Shard) onClosing(s *Session) (again bool) {
	c := sh.closings[s.slot]
	up, down := s.Down.Bytes, s.Up.Bytes
	more := sh.takeLeave(&c.toUp, &s.Down, &s.Up)
	more = sh.takeLeave(&c.toDown, &s.Up, &s.Down) || more
	sh.counters.TunnelBytesUp += s.Down.Bytes - up
	sh.counters.TunnelBytesDown += s.Up.Bytes - down
	sh.houseSoon()
	if c.toUp.done && c.toDown.done {
		sh.endClosing(s)
		return s.state == Linger
	}
	if c.toUp.told && c.toDown.told && !c.said {
		c.said = true
		sh.timers.Set(s.slot, sh.nowMs+closeAwaitMs)
	}
	sh.closings[s.slot] = c
	if more {
		sh.enqueue(s)
	}
	return false
}

// takeLeave gets on with the end of the direction from h to other. more means that its turn
// is over before its work is.
func (sh *Shard) takeLeave(f *farewell, h, other *relay.Half) (more bool) {
	if !f.told {
		p := sh.mover.PumpFrame(h, other, tunnelBudget)
		switch {
		case h.State == relay.Shut || other.Bits&relay.WriteDead != 0:
			f.told = true
		case !h.AtBoundary():
			return p == relay.More
		case h.Closed():
			f.told = true // by the source itself: nothing may follow
		default:
			n, _, gone := sh.mover.Say(other, f.frame[f.sent:f.length])
			f.sent += uint8(n)
			f.told = gone || f.sent == f.length && !sh.mover.Pending(other)
		}
	}
	if f.told && !f.done {
		f.done, more = sh.mover.Discard(h, tunnelBudget)
	}
	return more
}

// endClosing ends a tunnel in Closing. A client that may still have something to read is
// given the time for it.
func (sh *Shard) endClosing(s *Session) {
	sh.noteEnds(s)
	if s.Down.Bits&(relay.AtEOF|relay.ReadDead|relay.WriteDead) != 0 {
		sh.close(s, s.reason, s.side)
		return
	}
	sh.enterLinger(s)
}
