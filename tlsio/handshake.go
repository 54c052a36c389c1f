package tlsio

import (
	"crypto/tls"
	"time"

	"holdfast/tlsio/info"
)

// PoolOptions bound the handshakes of a process.
type PoolOptions struct {
	Computing int // handshakes that compute at the same time; 0: one for every two processors, at least one
	ActiveMax int // handshakes under way, each with a goroutine; 0: 1,024
	QueueMax  int // handshakes that wait for one to end, past which new ones are refused; 0: 16,384
}

// Pool runs handshakes. Its methods may be called from any thread and never block.
type Pool struct{ opt PoolOptions }

// NewPool makes a pool.
func NewPool(opt PoolOptions) *Pool { return &Pool{opt: opt} }

// Stats is how many handshakes are under way, wait, and were refused since the start.
func (p *Pool) Stats() (active, queued int, refused uint64) { return 0, 0, 0 }

// Order is what a handshake needs.
type Order struct {
	FD       int32
	Deadline time.Time
	// Choose says, for a server, what a client gets, by its hello. It may be called from any
	// thread and must not block. nil refuses the client (alert unrecognized_name).
	Choose func(*tls.ClientHelloInfo) *ServerConfig
	// Client, for a client, is its configuration, with ServerName set.
	Client *tls.Config
	// Done is called once, on a goroutine of the pool. From then on the pool doesn't use FD.
	Done func(*Result)
}

// ServerConfig is what a server offers a client that asks for it.
type ServerConfig struct {
	Config *tls.Config // the pool adds a KeyLogWriter of its own to a clone
	// Verify judges the client's certificates for Info.Verify; nil where none are asked for.
	Verify func(*tls.ConnectionState) string
	Index  int // for Info.Server
}

// Handshake is one that was ordered.
type Handshake struct{ order Order }

// Start orders a handshake. ok is false if it is refused because too many wait; Done is
// not called then.
func (p *Pool) Start(o Order) (h *Handshake, ok bool) { return nil, false }

// Wake tells the handshake that its socket may have become readable or writable.
func (h *Handshake) Wake() {}

// Cancel ends the handshake soon, with ErrCancelled. Done is called nevertheless.
func (h *Handshake) Cancel() {}

// Result is how a handshake ended.
type Result struct {
	Err         error // nil: Established and Info are valid
	Established Established
	Info        *info.TLS
	// Tickets, for a client of TLS 1.3, turns session tickets that come after the handshake
	// into sessions of Config.ClientSessionCache; nil if there is nothing to do.
	Tickets *Tickets
}

// Tickets takes the records behind a client's handshake, for as long as they are tickets.
type Tickets struct{}

// Take is given whole records as they came from the socket, from the first one behind
// the handshake on, in order. It copies them, returns at once and works elsewhere.
func (t *Tickets) Take(records []byte) {}
