package tlsio

import (
	"bytes"
	"crypto/tls"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"holdfast/tlsio/info"
)

// run makes the handshake, as a coroutine of its worker.
func (h *Handshake) run() (r *Result) {
	w := &wire{h: h, fd: h.order.FD, client: h.order.Client != nil}
	defer func() {
		w.h = nil
		w.secrets.wipe()
		if p := recover(); p != nil { // bytes of a stranger must not end the process
			r = &Result{Err: &Failure{Text: fmt.Sprint("internal error: ", p)}}
		}
	}()
	var conn *tls.Conn
	if w.client {
		conn = tls.Client(w, w.clientConfig(h.order.Client))
	} else {
		conn = tls.Server(w, h.w.pool.outer)
	}
	err := conn.Handshake()
	state := conn.ConnectionState()
	r = &Result{}
	if err == nil {
		if w.client && state.DidResume && state.Version == tls.VersionTLS12 {
			w.takeSession()
		}
		r.Established, err = w.establish(&state)
	}
	if err != nil {
		r.Err, r.Info = failure(err, w), w.info
		return r
	}
	r.Info = w.tell(&state)
	if w.client && state.Version == tls.VersionTLS13 && h.order.Client.ClientSessionCache != nil {
		r.Tickets = newTickets(h.w, w, conn)
	}
	return r
}

// refuse is what a client gets that Choose refused: crypto/tls sends unrecognized_name
// where there is no certificate. Without tickets, so that none is taken either.
var refuse = &tls.Config{MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true}

// choose is GetConfigForClient of every server's handshake.
func choose(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	w := hello.Conn.(*wire)
	w.info = &info.TLS{
		Ciphers:    cipherNames(hello.CipherSuites),
		Curves:     curveNames(hello.SupportedCurves),
		ServerName: strings.ToLower(hello.ServerName),
		Server:     -1,
		Verify:     "NONE",
	}
	w.server = w.h.order.Choose(hello)
	if w.server == nil || w.server.Config == nil {
		w.refused = true
		return refuse, nil
	}
	w.info.Server = w.server.Index
	return w.serverConfig(w.server.Config), nil
}

// serverConfig is what this handshake uses of a shared configuration. Tickets are those
// of the shared one, whether their keys were set or change by themselves.
func (w *wire) serverConfig(shared *tls.Config) *tls.Config {
	c := shared.Clone()
	restrict(c)
	c.KeyLogWriter = &w.secrets
	unwrap := c.UnwrapSession
	if unwrap == nil {
		unwrap = shared.DecryptTicket
	}
	c.UnwrapSession = func(identity []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
		state, err := unwrap(identity, cs)
		if state != nil && cs.Version == tls.VersionTLS12 {
			w.secrets.resume(state)
		}
		return state, err
	}
	if c.WrapSession == nil {
		c.WrapSession = shared.EncryptTicket
	}
	return c
}

func (w *wire) clientConfig(shared *tls.Config) *tls.Config {
	c := shared.Clone()
	restrict(c)
	c.KeyLogWriter = &w.secrets
	c.Renegotiation = tls.RenegotiateNever
	if c.ClientSessionCache != nil {
		c.ClientSessionCache = &sessionCache{ClientSessionCache: c.ClientSessionCache, w: w}
	}
	return c
}

// sessionCache notes which session a handshake was given.
type sessionCache struct {
	tls.ClientSessionCache
	w *wire
}

// Get implements tls.ClientSessionCache.
func (c *sessionCache) Get(key string) (*tls.ClientSessionState, bool) {
	s, ok := c.ClientSessionCache.Get(key)
	if ok {
		c.w.session = s
	}
	return s, ok
}

// takeSession takes the master secret from the session that the server resumed.
func (w *wire) takeSession() {
	if w.session == nil {
		return
	}
	if _, state, err := w.session.ResumptionState(); err == nil && state != nil {
		w.secrets.resume(state)
	}
}

var suites12 = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

// restrict takes from a configuration what the record layer doesn't speak.
func restrict(c *tls.Config) {
	c.MinVersion = max(c.MinVersion, tls.VersionTLS12)
	foreign := func(suite uint16) bool { return !Supported(TLS12, suite) && !Supported(TLS13, suite) }
	switch {
	case c.CipherSuites == nil:
		c.CipherSuites = suites12
	case slices.ContainsFunc(c.CipherSuites, foreign):
		c.CipherSuites = slices.DeleteFunc(slices.Clone(c.CipherSuites), foreign)
	}
}

// tell is what a handshake found out.
func (w *wire) tell(state *tls.ConnectionState) *info.TLS {
	i := w.info
	if i == nil {
		i = &info.TLS{Server: -1, Verify: "NONE"}
	}
	i.Version = versionName(state.Version)
	i.Cipher = cipherName(state.CipherSuite)
	if state.CurveID != 0 {
		i.Curve = curveName(state.CurveID)
	}
	i.ALPN = state.NegotiatedProtocol
	i.Resumed = state.DidResume
	hello := &w.out.hello
	if w.client {
		hello = &w.in.hello
	}
	i.SessionID = hex.EncodeToString(hello.sessionID())
	if len(state.PeerCertificates) > 0 && !w.client {
		i.ClientCert = bytes.Clone(state.PeerCertificates[0].Raw)
	}
	if w.server != nil && w.server.Verify != nil {
		i.Verify = w.server.Verify(state)
	}
	return i
}
