package shard

import (
	"errors"
	"time"

	"holdfast/observe"
	"holdfast/tlsio"
)

// identify works out which TLS the request speaks with its upstream: by what settings, and
// under what name.
func (sh *Shard) identify(r *Request, t *UpstreamTLS) {
	r.tls, r.tlsName, r.identity = t, "", 0
	if t == nil {
		return
	}
	name := t.Name.Append(sh.out[:0], &r.env)
	sh.out = name[:0]
	known := sh.identities.of(t.ID, name)
	r.identity, r.tlsName = known.number, known.name
}

// identities number the pairs of TLS settings and server names that connections to upstreams
// were made with: only a request with the same may use them again.
type identities struct {
	byKey map[identityKey]identity
	bytes int // of the names
	last  uint32
}

type identity struct {
	number uint32
	name   string
}

type identityKey struct {
	settings uint32
	name     string
}

// identitiesMax and identityBytesMax bound the names remembered, which may come from requests.
const (
	identitiesMax    = 10_000
	identityBytesMax = 1 << 20
)

// of is that of the pair. Past the limit all is forgotten but the numbers go on, so that
// connections made before are not used again.
func (l *identities) of(settings uint32, name []byte) identity {
	if id, ok := l.byKey[identityKey{settings, string(name)}]; ok {
		return id
	}
	if l.byKey == nil || len(l.byKey) >= identitiesMax || l.bytes >= identityBytesMax {
		l.byKey, l.bytes = map[identityKey]identity{}, 0
	}
	l.bytes += len(name)
	l.last++
	id := identity{number: l.last, name: string(name)}
	l.byKey[identityKey{settings, id.name}] = id
	return id
}

// enterUpHandshake begins TLS with the upstream on a connection that stands.
func (sh *Shard) enterUpHandshake(s *Session, r *Request) {
	sh.setState(s, UpHandshake)
	leftMs := max(r.settings().ConnectTimeout, 1)
	ok := sh.order(s, legUp, tlsio.Order{
		FD: s.Up.FD, Deadline: time.Now().Add(time.Duration(leftMs) * time.Millisecond), Client: r.tls.Config(r.tlsName),
	})
	if ok {
		// The pool keeps the deadline; the timer is for a pool that does not come to it.
		sh.timers.Set(s.slot, sh.nowMs+leftMs+upHandshakeSlackMs)
		return
	}
	sh.counters.Handshakes[observe.HandshakeRefused][1]++
	// No peer's fault, and no other peer would fare better.
	sh.logError(s, observe.LevelAlert, "too many TLS handshakes are waiting (ssl_handshakes queue)", nil)
	s.cause(observe.ReasonOverload, observe.SideProxy)
	r.upFailed = true
	sh.dropUpstream(s)
	sh.refuse(s, 503)
}

// upHandshakeSlackMs is how much later than the pool the session's own timer ends a handshake.
const upHandshakeSlackMs = 1000

// onUpHandshake passes events on to the handshake.
func (sh *Shard) onUpHandshake(s *Session) (again bool) {
	if sh.clientGone(s, sh.cold(s)) {
		return false
	}
	if h := sh.handshakes[s.slot]; h != nil {
		h.job.Wake()
	}
	return false
}

func (sh *Shard) upHandshakeDone(s *Session, result *tlsio.Result) {
	r := sh.cold(s)
	if result.Err == nil {
		id := sh.mover.TLS.Open(&result.Established, nil)
		if result.Tickets != nil {
			sh.mover.TLS.OnTickets(id, result.Tickets.Take)
		}
		s.Up.Secure(id)
		sh.mover.TLS.ToKernel(id, s.Up.FD)
		sh.houseSoon()
		sh.upstreamReady(s, r)
		return
	}
	var f *tlsio.Failure
	if !errors.As(result.Err, &f) {
		f = &tlsio.Failure{Text: result.Err.Error()}
	}
	s.trail = s.trail.Note(observe.SideUpstream, observe.EventReadFailed)
	if f.Class == tlsio.FailTimeout {
		sh.failTry(s, failHandshakeTimeout, 0)
		return
	}
	sh.logError(s, observe.LevelError, "SSL_do_handshake() failed while SSL handshaking to upstream:", []byte(f.Text))
	sh.blame(s, r, failHandshake)
	sh.retryOrGiveUp(s, r, failHandshake)
}

// upstreamReady goes on with a connection to an upstream that stands, TLS and all.
func (sh *Shard) upstreamReady(s *Session, r *Request) {
	r.env.UpstreamConnectMs = sh.nowMs - r.tryMs
	switch {
	case r.stream != nil:
		sh.openStream(s, r)
	case r.connect:
		sh.openConnect(s, r)
	default:
		sh.startSend(s, r)
	}
}
