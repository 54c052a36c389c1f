package observe

// Event is one thing that happened to a socket of a session, for its trail.
type Event uint8

// The events of a trail. 0 means no event.
const (
	EventFin         Event = 1 + iota // the peer ended its sending direction
	EventReadFailed                   // a read failed: reset, timed out
	EventWriteFailed                  // a write failed
	EventTimeout                      // a timer of ours ran out while this side was waited for
	EventRefused                      // the connection was refused
	EventShutdown                     // we ended
	EventTruncated                    // the peer ended the connection, but not the stream of TLS in it
)

var eventNames = [...]string{"", "fin", "read_failed", "write_failed", "timeout", "refused", "shutdown", "truncated"}

// Trail is the first four events of a session's sockets, oldest in the low byte.
// It says how an end came about where the reason alone leaves questions.
type Trail uint32

// Note appends an event of a side. An event that repeats the last one, or comes
// after the fourth, is not kept.
func (t Trail) Note(side Side, e Event) Trail {
	b := Trail(side)<<4 | Trail(e)
	for shift := 0; shift < 32; shift += 8 {
		switch (t >> shift) & 0xFF {
		case b:
			return t
		case 0:
			return t | b<<shift
		}
	}
	return t
}

// Append writes the trail to dst as "client:fin,upstream:read_failed", or "-".
func (t Trail) Append(dst []byte) []byte {
	if t == 0 {
		return append(dst, '-')
	}
	for i := 0; t != 0; i++ {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, Side(t>>4&0xF).String()...)
		dst = append(dst, ':')
		if e := int(t & 0xF); e < len(eventNames) {
			dst = append(dst, eventNames[e]...)
		}
		t >>= 8
	}
	return dst
}
