package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"sync/atomic"
	"testing"
	"time"
)

// clock is a time that a test moves.
type clock struct{ ns atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.ns.Store(time.Now().UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.ns.Load()) }
func (c *clock) advance(d time.Duration) { c.ns.Add(int64(d)) }

// visitor is a client that remembers sessions.
func visitor(version uint16) *tls.Config {
	return &tls.Config{
		InsecureSkipVerify: true, ServerName: "a.test", ClientSessionCache: tls.NewLRUClientSessionCache(4),
		MinVersion: version, MaxVersion: version,
	}
}

func resumes(t *testing.T, client *tls.Config, s *Server) bool {
	t.Helper()
	h := shake(t, client, s.state.Load().config.Clone())
	if h.clientErr != nil || h.serverErr != nil {
		t.Fatalf("handshake: %v, %v", h.clientErr, h.serverErr)
	}
	if h.client.DidResume != h.server.DidResume {
		t.Errorf("the client resumes: %v, the server: %v", h.client.DidResume, h.server.DidResume)
	}
	return h.server.DidResume
}

func TestTickets(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			f, clock := newFolder(t), newClock()
			st := NewStore(Options{Now: clock.now})
			cert := issue(t, nil, named("a.test"), false)
			spec := serverSpec(f.pair("a", cert))
			s := mustServer(t, st, spec)
			off := spec
			off.Tickets = false
			without := mustServer(t, st, off)
			elsewhere := mustServer(t, st, serverSpec(f.pair("b", issue(t, nil, named("b.test"), false))))

			client := visitor(version)
			if resumes(t, client, s) || !resumes(t, client, s) {
				t.Error("a session is not resumed")
			}
			if resumes(t, client, elsewhere) {
				t.Error("a session is resumed by a server with another certificate")
			}
			client = visitor(version)
			for range 2 {
				if resumes(t, client, without) {
					t.Error("a session is resumed without tickets")
				}
			}

			client = visitor(version)
			resumes(t, client, s)
			clock.advance(4 * time.Minute)
			if !resumes(t, client, s) {
				t.Error("a session is not resumed within its time")
			}
			client = visitor(version)
			resumes(t, client, s)
			clock.advance(6 * time.Minute)
			if resumes(t, client, s) {
				t.Error("a session is resumed after ssl_session_timeout")
			}

			client = visitor(version)
			clock.advance(time.Hour)
			st.Poll() // new keys
			resumes(t, client, s)
			clock.advance(time.Minute)
			if _, failed := st.Reload(); failed > 0 || !resumes(t, client, s) {
				t.Error("a session is not resumed after a reload")
			}
			f.pair("a", issue(t, nil, named("a.test"), false)) // a new certificate under the same name
			if _, failed := st.Reload(); failed > 0 || !resumes(t, client, s) {
				t.Error("a session is not resumed after a new certificate")
			}
		})
	}
}

// TestTicketKeysRotate proves that a ticket made just before a new key is good for its time,
// and that no key lives much longer than a ticket.
func TestTicketKeysRotate(t *testing.T) {
	f, clock := newFolder(t), newClock()
	st := NewStore(Options{Now: clock.now})
	spec := serverSpec(f.pair("a", issue(t, nil, named("a.test"), false)))
	spec.SessionTimeout = 90 * time.Minute
	s := mustServer(t, st, spec)
	first := st.made.made[0].key
	clock.advance(59 * time.Minute)
	st.Poll()
	client := visitor(tls.VersionTLS13)
	resumes(t, client, s)
	for range 8 {
		clock.advance(10 * time.Minute)
		st.Poll()
	}
	if len(st.made.made) < 2 || st.made.made[0].key == first || !resumes(t, client, s) {
		t.Errorf("%d keys; the ticket of the first one is not good", len(st.made.made))
	}
	for range 40 {
		clock.advance(10 * time.Minute)
		st.Poll()
	}
	if n := len(st.made.made); n > 4 {
		t.Errorf("%d keys are kept", n)
	}
	for _, k := range st.made.made {
		if k.key == first {
			t.Error("the first key is never forgotten")
		}
	}
}

func TestTicketKeyFiles(t *testing.T) {
	f := newFolder(t)
	old, young := f.write("old", bytes.Repeat([]byte{1}, 48)), f.write("young", bytes.Repeat([]byte{2}, 80))
	pair := f.pair("a", issue(t, nil, named("a.test"), false))
	server := func(keys ...File) *Server {
		spec := serverSpec(pair)
		spec.TicketKeys = keys
		return mustServer(t, NewStore(Options{}), spec) // a process of its own
	}
	client := visitor(tls.VersionTLS13)
	resumes(t, client, server(old))
	if !resumes(t, client, server(young, old)) {
		t.Error("a key that is not the first one does not decrypt")
	}
	if !resumes(t, client, server(young)) {
		t.Error("the first key does not encrypt")
	}
	if resumes(t, client, server(old)) {
		t.Error("a ticket of an unknown key is taken")
	}
}

// TestSessionsDoNotAuthenticateElsewhere proves that a session with a client's certificate
// stays with the servers that judge certificates alike, and that the certificate is judged
// anew when it is resumed.
func TestSessionsDoNotAuthenticateElsewhere(t *testing.T) {
	f, clock := newFolder(t), newClock()
	st := NewStore(Options{Now: clock.now})
	ca, other := issue(t, nil, authority, false), issue(t, nil, authority, false)
	mine := issue(t, ca, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(time.Hour) }, false)
	pair := f.pair("a", issue(t, ca, named("a.test"), false))
	asking := func(by *issued, name string) *Server {
		spec := serverSpec(pair)
		spec.SessionTimeout = 24 * time.Hour
		spec.AskClient, spec.VerifyDepth, spec.ClientCA = true, 1, f.authorities(name, by)
		return mustServer(t, st, spec)
	}
	first, second, open := asking(ca, "ca.pem"), asking(other, "other.pem"), mustServer(t, st, serverSpec(pair))
	client := visitor(tls.VersionTLS13)
	client.Certificates = []tls.Certificate{{Certificate: [][]byte{mine.cert.Raw}, PrivateKey: mine.key}}
	judge := func(s *Server) (string, bool) {
		h := shake(t, client, s.state.Load().config.Clone())
		if h.clientErr != nil || h.serverErr != nil {
			t.Fatalf("handshake: %v, %v", h.clientErr, h.serverErr)
		}
		return s.state.Load().verify(&h.server), h.server.DidResume
	}
	judge(first)
	if got, resumed := judge(first); got != "SUCCESS" || !resumed {
		t.Errorf("%s, resumed %v", got, resumed)
	}
	if got, resumed := judge(second); got == "SUCCESS" || resumed {
		t.Errorf("another authority's server: %s, resumed %v", got, resumed)
	}
	judge(first)
	if resumes(t, client, open) {
		t.Error("a session moves to a server that asks for no certificate")
	}
	judge(first)
	f.authorities("ca.pem", other)
	st.Reload()
	if got, _ := judge(first); got == "SUCCESS" {
		t.Error("a session outlives its authority")
	}
}
