package shard

import (
	"holdfast/internal/assert"
	"holdfast/observe"
)

// State is where a session stands.
//
//	accept ─▶ ProxyHeader ─▶ Handshake ─┬──────────▶ Preread (stream only)
//	 (each only where the listener      │               │
//	  asks for it)                      ▼               │
//	               ReadHead ◀───────────┴── first byte ─┼───────┐
//	               │  │ ─▶ Delay (limit_req) and Access │       │
//	               │  │    (auth_basic) go on as it does│       │
//	               │  │ route found, new upstream leg   │       │
//	    pooled leg │  ▼         (by ReadBody where the   ▼       │
//	      ┌────────┘ Connect ◀─┐ body is held first) next peer  │
//	      ▼           │  └─────┤                                │
//	      │       UpHandshake ─┤ (proxy_pass https://)          │
//	      ▼           │        │                                │
//	    SendHead ◀────┘        │                                │
//	      │  └─ stale pooled ──┤                                │
//	      ▼                    │                                │
//	    ReadResp ─ closed ────▶┘  (1xx other than 101: stay)    │
//	      │    └─ final status ─▶ Body ── keep-alive ──▶ Idle ──┘
//	      │ valid 101              │ close                ▲
//	      ▼                        │         Reply ───────┘
//	    Switch (CONNECT: from      │          │ ▲ refusals from ReadHead, Connect,
//	      │ Connect)               │          │   UpHandshake, SendHead, ReadResp
//	      │ 101, leftovers flushed │          │
//	      ▼ (stream: from Connect) ▼          ▼
//	    Tunnel ─ upstream gone ─▶ Linger ── FIN, limit, timer ──▶ Closed ─▶ Free
//	      │ one half Shut          ▲                              end of batch
//	      ▼                        │
//	    HalfClosed ────────────────┘
//	either ─ we end it ─▶ Closing ─ both said their Close, timer ─▶ Linger, Closed
//	error_page may lead from ReadBody, Connect, UpHandshake, SendHead and ReadResp to Delay and Access
//	any state ─▶ Closed: reset, client gone, timer with nothing left to say
type State uint8

// The states of a session.
const (
	Free        State = iota // the slot is not in use
	ProxyHeader              // the header of the PROXY protocol is awaited
	Handshake                // TLS handshake with the client, made by the pool
	Preread                  // stream: deciding about a connection, perhaps by its first bytes
	ReadHead                 // reading a request head
	Delay                    // waiting until the request keeps to limit_req
	Access                   // waiting for the verdict on a password
	ReadBody                 // holding the request body before an upstream is asked
	Connect                  // connecting to a peer
	UpHandshake              // TLS handshake with the upstream, made by the pool
	SendHead                 // writing the request head to the upstream
	ReadResp                 // the request body goes up, the response head is awaited
	Body                     // the response body goes down, perhaps the request body up
	Switch                   // writing the 101 and what came behind either head
	Tunnel                   // both halves live
	HalfClosed               // one half has ended
	Closing                  // a tunnel that we end: Close frames are on the way, and awaited
	Idle                     // between two requests
	Reply                    // writing an answer of our own
	Linger                   // FIN sent, discarding what the client still sends
	Closed                   // closed; the slot waits for the end of the event batch
	stateCount
)

// A counter for each state exists in observe.Counters.
var _ [observe.StateCount]struct{} = [stateCount]struct{}{}

var stateNames = [stateCount]string{
	"free", "proxyheader", "handshake", "preread", "readhead", "delay", "access", "readbody", "connect", "uphandshake",
	"sendhead", "readresp", "body", "switch", "tunnel", "halfclosed", "closing", "idle", "reply", "linger", "closed",
}

// String is the state's name in metrics and dumps.
func (s State) String() string {
	if s < stateCount {
		return stateNames[s]
	}
	return "invalid"
}

// StateNames lists the names in the order of observe.Counters.Sessions.
func StateNames() []string { return stateNames[:] }

func to(states ...State) (set uint32) {
	for _, s := range states {
		set |= 1 << s
	}
	return set
}

// legal has, for each state, the set of states that may follow: 95 edges.
var legal = [stateCount]uint32{
	Free:        to(ProxyHeader, Handshake, Preread, ReadHead),
	ProxyHeader: to(Handshake, Preread, ReadHead, Closed),
	Handshake:   to(Preread, ReadHead, Linger, Closed),
	Preread:     to(Connect, Reply, Closed),
	ReadHead:    to(Delay, Access, ReadBody, Connect, SendHead, Reply, Closed),
	Delay:       to(Access, ReadBody, Connect, SendHead, Reply, Closed),
	Access:      to(Delay, ReadBody, Connect, SendHead, Reply, Closed),
	ReadBody:    to(Delay, Access, Connect, SendHead, Reply, Closed),
	Connect:     to(Delay, Access, UpHandshake, SendHead, Switch, Tunnel, Connect, Reply, Linger, Closed),
	UpHandshake: to(Delay, Access, SendHead, Tunnel, Connect, Reply, Linger, Closed),
	SendHead:    to(Delay, Access, ReadResp, Connect, Reply, Closed),
	ReadResp:    to(Delay, Access, Body, Switch, ReadResp, Connect, Reply, Closed),
	Body:        to(Idle, Linger, Closed),
	Switch:      to(Tunnel, HalfClosed, Linger, Closed),
	Tunnel:      to(HalfClosed, Closing, Linger, Closed),
	HalfClosed:  to(Closing, Linger, Closed),
	Closing:     to(Linger, Closed),
	Idle:        to(ReadHead, Closed),
	Reply:       to(Idle, Linger, Closed),
	Linger:      to(Closed),
	Closed:      to(Free),
}

// Legal reports whether a session may go from one state to the other.
func Legal(from, next State) bool {
	return from < stateCount && next < stateCount && legal[from]&(1<<next) != 0
}

// setState is the only writer of a session's state: it checks the edge and moves
// the gauges.
func (sh *Shard) setState(s *Session, next State) {
	assert.That(Legal(s.state, next), "illegal edge between session states")
	c := &sh.counters
	if s.state != Free {
		c.Sessions[s.state]--
	}
	if next != Free {
		c.Sessions[next]++
	}
	if was, is := s.state.tunnelled(), next.tunnelled(); was != is {
		sh.countTunnel(s, is)
	}
	s.state = next
}

// tunnelled reports whether a session in this state counts as a live tunnel.
func (s State) tunnelled() bool { return s == Tunnel || s == HalfClosed || s == Closing }
