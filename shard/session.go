package shard

import (
	"holdfast/internal/wheel"
	"holdfast/observe"
	"holdfast/pool"
	"holdfast/relay"
)

// Session is one client connection and, while it has one, its upstream
// connection. It is all that an idle tunnel costs in user memory: 128 bytes, two
// cache lines, no pointer. The first line is what the relay touches for a message.
type Session struct {
	Down relay.Half // the client's socket and the direction that starts there
	Up   relay.Half // the upstream's socket, FD -1 while there is none

	id         uint64 // connection number, $connection
	timer      wheel.Link
	slot       uint32 // this record's own place in the slab
	queueNext  uint32 // slot + 1 of the next session on the run queue
	request    uint32 // index + 1 of the cold request, 0: none
	activeTick uint32 // when a tunnel's sockets last had an event
	sinceTick  uint32 // since when a tunnel is blocked (0: it is not), or lingering or idling began
	openedTick uint32 // when the connection was accepted; in a tunnel: when that opened
	peer       uint32 // upstream.Peer.ID of the connection in Up, 0: none
	requests   uint32 // requests on this connection
	trail      observe.Trail
	policy     uint16 // index of the Policy that holds beyond the request
	listener   uint16
	state      State
	flags      sessionFlags
	reason     observe.CloseReason // first cause
	side       observe.Side
}

type sessionFlags uint8

const (
	flagQueued    sessionFlags = 1 << iota // on the run queue
	flagStarved                            // waits for memory
	flagFinSent                            // shutdown(WR) was called on the client's socket
	flagReusedUp                           // Up came from the idle pool and has not answered yet
	flagTunnelled                          // it is or was a tunnel: its end is counted and logged as one
	flagNagle                              // TCP_NODELAY is off on the client's socket (tcp_nodelay off)
	flagRefused                            // accepted past the limit: its request gets a 503
	flagYoung                              // a tunnel whose connections have no keepalive of their own yet
)

// flagPaced marks a tunnel that reads no faster than it may (proxy_download_rate). No tunnel
// was accepted past the limit.
const flagPaced = flagRefused

func (s *Session) has(f sessionFlags) bool { return s.flags&f != 0 }

// cause records why the session ends, unless something did before.
func (s *Session) cause(r observe.CloseReason, side observe.Side) {
	if s.reason == observe.ReasonNone {
		s.reason, s.side = r, side
	}
}

// An epoll registration carries 64 bits: kind (1), slot (31), generation (31),
// leg (1). Generation 0 with kind set is a listener, its slot the listener's index.
const (
	kindBit = 1 << 63
	legDown = 0
	legUp   = 1
)

func eventData(h pool.Handle, leg uint64) uint64 {
	return uint64(h.Slot)<<32 | uint64(h.Gen)<<1 | leg
}

func eventHandle(data uint64) (h pool.Handle, leg uint64) {
	return pool.Handle{Slot: uint32(data>>32) &^ (1 << 31), Gen: uint32(data) >> 1}, data & 1
}

func (sh *Shard) handle(s *Session) pool.Handle {
	return pool.Handle{Slot: s.slot, Gen: sh.sessions.Gen(s.slot)}
}
