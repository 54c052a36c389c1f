package tlsio

import (
	"crypto/tls"
	"sync/atomic"
	"time"

	"holdfast/tlsio/info"
)

// Order is what a handshake needs.
type Order struct {
	FD       int32
	Deadline time.Time // the zero time: none
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
	// Config is shared by all its handshakes and must not change, but for its ticket keys
	// (SetSessionTicketKeys). Suites that are no AEADs and versions before TLS 1.2 are left out.
	Config *tls.Config
	// Verify judges the client's certificates for Info.Verify; nil where none are asked for.
	Verify func(*tls.ConnectionState) string
	// Index goes into Info.Server.
	Index int
}

// Handshake is one that was ordered. Its methods may be called from any thread, at any
// time, and never block; they do nothing once Done was called.
type Handshake struct {
	order Order
	post  post
	w     *worker

	cancelled atomic.Bool
	expired   atomic.Bool
	timer     *time.Timer // ends it at its deadline; nil: it has none

	// What follows belongs to the worker's thread.
	step   step
	evict  bool // gives way to those that wait
	resume func() (struct{}, bool)
	yield  func(struct{}) bool
	result *Result
	// Its place in the worker's backlog, or among those that wait for their peer.
	prev, next *Handshake
	since      time.Time // when it began to wait for its peer
}

// step is how far a handshake has come.
type step uint8

const (
	stepOrdered step = iota // the worker has not seen it yet
	stepBacklog             // waits for one under way to end
	stepActive              // has a goroutine
	stepEnded
)

// Wake tells the handshake that its socket may have become readable or writable.
func (h *Handshake) Wake() { h.w.send(&h.post) }

// Cancel ends the handshake soon, with a Failure of FailCancelled. Done is called
// nevertheless.
func (h *Handshake) Cancel() {
	h.cancelled.Store(true)
	h.w.send(&h.post)
}

func (h *Handshake) expire() {
	h.expired.Store(true)
	h.w.send(&h.post)
}

// interrupted is why the handshake must not go on, nil if it may.
func (h *Handshake) interrupted() *Failure {
	switch {
	case h.cancelled.Load():
		return &Failure{Class: FailCancelled, Text: "cancelled"}
	case h.expired.Load():
		return &Failure{Class: FailTimeout, Text: "timed out"}
	case h.evict:
		return &Failure{Class: FailTimeout, Text: "gave way to waiting handshakes"}
	}
	return nil
}

// Result is how a handshake ended.
type Result struct {
	Err         error // nil: Established and Info are valid; else a *Failure
	Established Established
	// Info is what was found out. After a server's handshake failed it tells what is known
	// of the client's hello, nil if there was none.
	Info *info.TLS
	// Tickets, for a client of TLS 1.3, turns session tickets that come after the handshake
	// into sessions of Config.ClientSessionCache; nil if there is nothing to do.
	Tickets *Tickets
}
