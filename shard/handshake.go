package shard

import (
	"errors"
	"time"

	"holdfast/internal/sys"
	"holdfast/observe"
	"holdfast/pool"
	"holdfast/relay"
	"holdfast/tlsio"
)

// handshaking is a TLS handshake that the pool makes with one of a session's sockets. Until
// it has ended the socket is the pool's: who wants to close it abandons it.
type handshaking struct {
	job       *tlsio.Handshake
	session   pool.Handle
	fd        int32
	leg       uint64
	abandoned bool // the session is gone, or has done without: the socket is closed in the end
}

// helloWait is how much of a client's first record is waited for before a handshake begins,
// if it is not whole before, in bytes. The smallest receive buffer takes as much.
const helloWait = 2 << 10

// Content types and SSL 2 (RFC 8446 section 5.1, and appendix E.2 of RFC 5246).
const (
	typeHandshake = 22
	ssl2Bit       = 0x80
)

// enterHandshake waits for the client's hello.
func (sh *Shard) enterHandshake(s *Session) {
	sh.setState(s, Handshake)
	s.sinceTick = sh.tick
	sh.timers.Set(s.slot, sh.nowMs+sh.handshakeMs(s))
}

// handshakeMs bounds the TLS handshake with a client: one that is refused in the end has
// less time.
func (sh *Shard) handshakeMs(s *Session) int64 {
	ms := sh.snapshotOf(s).Listeners[s.listener].HandshakeMs
	if s.has(flagRefused) {
		return min(ms, refusalHeadMs)
	}
	return ms
}

// onHandshake has the pool make the handshake once the client's first record is there. A
// client that is slow with that costs nothing but its socket.
func (sh *Shard) onHandshake(s *Session) (again bool) {
	if h := sh.handshakes[s.slot]; h != nil {
		h.job.Wake()
		return false
	}
	b := sh.mover.Scratch[:helloWait]
	n := sh.peekClient(s, b)
	if n == 0 {
		return false
	}
	if b[0] != typeHandshake && b[0]&ssl2Bit == 0 {
		return sh.plainOnTLS(s)
	}
	whole := n >= 5 && n >= 5+(int(b[3])<<8|int(b[4]))
	if b[0] == typeHandshake && !whole && n < helloWait && s.Down.Bits&relay.RdHup == 0 {
		s.Down.Bits &^= relay.CanRead
		return false
	}
	sh.startHandshake(s)
	return false
}

// startHandshake orders the handshake with the client.
func (sh *Shard) startHandshake(s *Session) {
	l := &sh.snapshotOf(s).Listeners[s.listener]
	leftMs := max(sh.handshakeMs(s)-(sh.nowMs-sh.tickMs(s.sinceTick)), 1)
	ok := sh.order(s, legDown, tlsio.Order{
		FD: s.Down.FD, Deadline: time.Now().Add(time.Duration(leftMs) * time.Millisecond), Choose: l.TLS,
	})
	if !ok {
		sh.counters.Handshakes[observe.HandshakeRefused][0]++
		sh.logError(s, observe.LevelAlert, "too many TLS handshakes are waiting (ssl_handshakes queue)", nil)
		sys.ResetOnClose(s.Down.FD)
		sh.close(s, observe.ReasonOverload, observe.SideProxy)
		return
	}
	sh.timers.Cancel(s.slot) // the pool keeps the deadline
}

// order has the pool make a handshake. false means that it refused.
func (sh *Shard) order(s *Session, leg uint64, o tlsio.Order) bool {
	if sh.opt.Handshakes == nil {
		return false
	}
	h := &handshaking{session: sh.handle(s), fd: o.FD, leg: leg}
	o.Done = func(r *tlsio.Result) {
		if !sh.Post(func(sh *Shard) { sh.handshakeDone(h, r) }) {
			sys.Close(h.fd) // the shard has ended, and abandoned it before
		}
	}
	job, ok := sh.opt.Handshakes.Start(o)
	if !ok {
		return false
	}
	h.job = job
	if sh.handshakes == nil {
		sh.handshakes = map[uint32]*handshaking{}
	}
	sh.handshakes[s.slot] = h
	return true
}

// abandon leaves a socket of the session to the handshake that uses it, if there is one, to
// be closed when that has ended.
func (sh *Shard) abandon(s *Session, leg uint64) bool {
	h := sh.handshakes[s.slot]
	if h == nil || h.leg != leg {
		return false
	}
	delete(sh.handshakes, s.slot)
	h.abandoned = true
	sh.poller.Delete(h.fd) // its events would be taken for those of the connection that comes next
	h.job.Cancel()
	return true
}

// handshakeDone goes on with the session whose handshake has ended.
func (sh *Shard) handshakeDone(h *handshaking, r *tlsio.Result) {
	sh.countHandshake(h, r)
	if h.abandoned {
		sys.Close(h.fd)
		return
	}
	s := sh.sessions.Get(h.session)
	delete(sh.handshakes, s.slot)
	if h.leg == legUp {
		sh.upHandshakeDone(s, r)
	} else {
		sh.downHandshakeDone(s, r)
	}
	sh.advance(s)
	if sh.quitting && s.waitsForRequest() {
		sh.close(s, observe.ReasonShutdown, observe.SideProxy)
	}
}

func (sh *Shard) downHandshakeDone(s *Session, r *tlsio.Result) {
	if r.Err != nil {
		sh.handshakeFailed(s, r.Err)
		return
	}
	s.Down.Secure(sh.mover.TLS.Open(&r.Established, r.Info))
	sh.mover.TLS.ToKernel(s.Down.TLS(), s.Down.FD)
	sh.houseSoon()
	sh.greeted(s)
}

// handshakeFailed ends a connection whose handshake failed. The client may be sending
// still, and shall see the alert.
func (sh *Shard) handshakeFailed(s *Session, err error) {
	var f *tlsio.Failure
	if !errors.As(err, &f) {
		f = &tlsio.Failure{Text: err.Error()}
	}
	reason := observe.ReasonTLS
	switch f.Class {
	case tlsio.FailTimeout:
		s.trail = s.trail.Note(observe.SideClient, observe.EventTimeout)
		reason = observe.ReasonHandshakeTimeout
	case tlsio.FailClosed:
		s.trail = s.trail.Note(observe.SideClient, observe.EventFin)
		reason = observe.ReasonAborted
	}
	s.cause(reason, observe.SideClient)
	sh.logError(s, observe.LevelInfo, "SSL_do_handshake() failed while SSL handshaking:", []byte(f.Text))
	if f.Class == tlsio.FailTimeout || f.Class == tlsio.FailClosed {
		sh.close(s, reason, observe.SideClient)
		return
	}
	sh.enterLinger(s)
}

// countHandshake counts how a handshake ended, by side.
func (sh *Shard) countHandshake(h *handshaking, r *tlsio.Result) {
	o := observe.HandshakeFailed
	var f *tlsio.Failure
	switch {
	case r.Err == nil && r.Info.Resumed:
		o = observe.HandshakeResumed
	case r.Err == nil:
		o = observe.HandshakeFull
	case h.abandoned:
		o = observe.HandshakeGone
	case errors.As(r.Err, &f) && f.Class == tlsio.FailTimeout:
		o = observe.HandshakeTimeout
	case errors.As(r.Err, &f) && f.Class == tlsio.FailClosed:
		o = observe.HandshakeGone
	}
	sh.counters.Handshakes[o][h.leg]++
}

// plainOnTLS takes a client's first request although it does not speak TLS, so that it can
// be told so (497, by default a 400).
func (sh *Shard) plainOnTLS(s *Session) (again bool) {
	if sh.snapshotOf(s).Listeners[s.listener].Stream != nil {
		s.cause(observe.ReasonTLS, observe.SideClient)
		sh.logError(s, observe.LevelInfo, "client sent no TLS to a TLS port", nil)
		sh.close(s, observe.ReasonTLS, observe.SideClient)
		return false
	}
	sh.setState(s, ReadHead)
	sh.lendRequest(s).plainOnTLS = true
	sh.timers.Set(s.slot, sh.nowMs+sh.snapshotOf(s).Table.Default(int(s.listener)).Settings.ClientHeaderTimeout)
	return true
}

// greeted goes on with a connection whose client has been greeted as the listener asks:
// behind the header of the PROXY protocol and the TLS handshake.
func (sh *Shard) greeted(s *Session) {
	if sh.snapshotOf(s).Listeners[s.listener].Stream != nil {
		sh.enterPreread(s)
		return
	}
	sh.setState(s, ReadHead)
	wait := sh.snapshotOf(s).Table.Default(int(s.listener)).Settings.ClientHeaderTimeout
	if s.has(flagRefused) {
		wait = min(wait, refusalHeadMs)
	}
	sh.timers.Set(s.slot, sh.nowMs+wait)
}

// afterProxyHeader goes on with a connection behind the header of the PROXY protocol, or
// one that has none.
func (sh *Shard) afterProxyHeader(s *Session) {
	if sh.snapshotOf(s).Listeners[s.listener].TLS != nil {
		sh.enterHandshake(s)
		return
	}
	sh.greeted(s)
}
