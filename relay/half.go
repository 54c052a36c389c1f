// Package relay moves bytes between two sockets. A tunnel is two halves, one per
// direction; a half reads from its own socket and writes to the other half's. It
// copies small messages through a buffer the whole shard shares and splices large
// ones through a pipe on loan. It decides nothing about a session: it reports
// progress, and Outcome says what the two halves add up to.
//
//	Flow ⇄ Blocked   the destination refuses; reading stops (backpressure)
//	Flow|Blocked → Eof   FIN read, bytes may still be owed
//	Eof → Shut       the last byte is written and FIN passed on
//	any → Shut       the destination is gone
package relay

// HalfState is how far one direction has come.
type HalfState uint8

// The states of a half.
const (
	Flow    HalfState = iota // bytes move as they come
	Blocked                  // the destination refuses; the bytes are held, or left unread past the memory limit
	Eof                      // the source ended; what is held still has to go
	Shut                     // ended: FIN passed on, or the destination is gone
)

// String is the state's name in dumps.
func (s HalfState) String() string {
	return [...]string{"flow", "blocked", "eof", "shut"}[s&3]
}

// Bits is what is known about a half's own socket.
type Bits uint8

// Readiness is remembered from edge-triggered events. It is cleared by EAGAIN, by a
// short write, and by a short read where RdHup is not set.
const (
	CanRead   Bits = 1 << iota // no EAGAIN since the last read event
	CanWrite                   // no EAGAIN since the last write event
	RdHup                      // the stream's end, or an urgent mark, may stand behind a short read
	AtEOF                      // a read returned the end of the stream
	ReadDead                   // a read failed: nothing will ever come again
	WriteDead                  // a write failed: nothing will ever be taken again
	Alarm                      // an event told of an error, or of a hang-up
	Secured                    // the socket carries TLS (Half.Secure)
)

// Half is one socket and the direction that starts there. It holds no pointer and
// fills half a cache line; two of them are the hot line of a session.
type Half struct {
	Bytes    uint64 // delivered to the other socket
	frames   frames // where in the WebSocket framing the read position is
	Messages uint32 // WebSocket messages whose last byte was read; wraps
	loan     uint32 // what holds the undelivered bytes: see loan.go; of a secured half its TLS connection
	FD       int32  // own socket; -1 when there is none
	Bits     Bits
	Err      uint8 // errno that set ReadDead or WriteDead, the first of them
	State    HalfState
	full     uint8 // full reads in a row
}

// Open readies a zeroed half for a connected socket whose readiness is unknown:
// it is tried first and believed after.
func (h *Half) Open(fd int32) {
	*h = Half{FD: fd, Bits: CanWrite}
}

// FollowFrames makes the half read WebSocket frame headers (RFC 6455 section 5.2)
// in the bytes it moves. Without it, or after invalid framing, it is blind.
func (h *Half) FollowFrames() { h.frames = frames(phaseStart) << phaseShift }

// MidFrame reports whether the bytes read so far end inside a WebSocket frame.
func (h *Half) MidFrame() bool { return h.frames.phase() > phaseStart }

// Holding reports whether the half waits for its destination to take something: what
// it holds, what it left unread because memory in flight was at its limit, records of
// TLS, or the end of the stream.
func (h *Half) Holding() bool { return h.owes() || h.State == Eof }

// owes reports whether bytes go to the destination before anything is read.
func (h *Half) owes() bool { return h.State == Blocked || h.loan != 0 && h.Bits&Secured == 0 }

// Dead reports whether reading from the half's socket has failed.
func (h *Half) Dead() bool { return h.Bits&ReadDead != 0 }

func (h *Half) fail(bit Bits, errno uint8) {
	h.Bits |= bit
	if h.Err == 0 {
		h.Err = errno
	}
}
