package certs

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"slices"
	"sync/atomic"
	"time"

	"holdfast/tlsio"
)

// ServerSpec is what a virtual server offers its clients.
type ServerSpec struct {
	// Certificates are in the order of the configuration; none refuses every client.
	Certificates               []KeyPair
	PasswordFile, StaplingFile File
	MinVersion, MaxVersion     uint16
	CipherSuites               []uint16 // of TLS 1.2; nil: all with forward secrecy
	Curves                     []tls.CurveID
	// NextProtos are the protocols of ALPN; with none, what clients offer is not looked at.
	NextProtos []string

	Tickets        bool
	TicketKeys     []File // none: the process makes its own
	SessionTimeout time.Duration

	// AskClient asks clients for a certificate, which is verified by ClientCA, whose names
	// clients are told, and TrustedCA.
	AskClient                bool
	VerifyDepth              int
	ClientCA, TrustedCA, CRL File
}

// Server is what a virtual server offers; it changes with its files.
type Server struct {
	spec  ServerSpec
	keys  *ticketKeys
	now   func() time.Time
	state atomic.Pointer[serverState]
}

type serverState struct {
	config *tls.Config
	verify func(*tls.ConnectionState) string
	leaves []*x509.Certificate
}

// suitesDefault are the suites of TLS 1.2 with forward secrecy that the record layer knows.
var suitesDefault = []uint16{
	tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
	tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
	tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
}

func (s *Server) files() []File {
	f := present(s.spec.PasswordFile, s.spec.StaplingFile, s.spec.ClientCA, s.spec.TrustedCA, s.spec.CRL)
	for _, pair := range s.spec.Certificates {
		f = append(f, pair.Certificate, pair.Key)
	}
	return append(f, s.spec.TicketKeys...)
}

// load reads the files. It changes nothing unless all are good.
func (s *Server) load() (errs []*FileError) {
	state := &serverState{}
	list, errs := s.loadCertificates()
	config := &tls.Config{
		GetCertificate: chooser(list), NextProtos: s.spec.NextProtos,
		MinVersion: s.spec.MinVersion, MaxVersion: s.spec.MaxVersion, CipherSuites: s.spec.CipherSuites,
		CurvePreferences: s.spec.Curves, SessionTicketsDisabled: !s.spec.Tickets,
	}
	if config.CipherSuites == nil {
		config.CipherSuites = suitesDefault
	}
	if s.spec.AskClient {
		errs = append(errs, s.askClient(state, config)...)
	}
	if s.spec.Tickets {
		tickets := &session{keys: s.keys, context: contextOf(&s.spec), timeout: s.spec.SessionTimeout, now: s.now}
		config.WrapSession, config.UnwrapSession = tickets.wrap, tickets.unwrap
	}
	if s.spec.Tickets && len(s.spec.TicketKeys) > 0 && len(errs) == 0 {
		if err := s.keys.use(s.spec.TicketKeys); err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 {
		return errs
	}
	for _, c := range list {
		state.leaves = append(state.leaves, c.Leaf)
	}
	state.config = config
	s.state.Store(state)
	return nil
}

func (s *Server) loadCertificates() (list []*tls.Certificate, errs []*FileError) {
	for _, pair := range s.spec.Certificates {
		c, err := loadKeyPair(pair, s.spec.PasswordFile)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		list = append(list, c)
	}
	if s.spec.StaplingFile.Path != "" && len(errs) == 0 {
		if err := staple(s.spec.StaplingFile, list); err != nil {
			errs = append(errs, err)
		}
	}
	return list, errs
}

// askClient has clients asked for a certificate. crypto/tls takes any, so that a request can
// be answered (RFC 8446 would end the handshake); verify says what it is worth.
func (s *Server) askClient(state *serverState, config *tls.Config) (errs []*FileError) {
	v := &verifier{depth: s.spec.VerifyDepth, usage: x509.ExtKeyUsageClientAuth}
	config.ClientAuth = tls.RequestClientCert
	var err *FileError
	if config.ClientCAs, err = loadPool(s.spec.ClientCA); err != nil {
		errs = append(errs, err)
	}
	if v.roots, err = loadPool(s.spec.ClientCA, s.spec.TrustedCA); err != nil && len(errs) == 0 {
		errs = append(errs, err)
	}
	if s.spec.CRL.Path != "" {
		if v.crls, err = loadCRLs(s.spec.CRL); err != nil {
			errs = append(errs, err)
		}
	}
	state.verify = func(cs *tls.ConnectionState) string {
		if len(cs.PeerCertificates) == 0 {
			return "NONE"
		}
		if found := v.verify(cs.PeerCertificates, s.now()); found != "" {
			return "FAILED:" + found
		}
		return "SUCCESS"
	}
	return errs
}

// chooser picks the certificate of a client by what it can do: one with an elliptic curve
// if it can, which is the cheaper one for both. Names need not match, as in nginx.
func chooser(list []*tls.Certificate) func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b *tls.Certificate) int { return rank(a) - rank(b) })
	return func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		if len(list) == 1 {
			return list[0], nil
		}
		nameless := *hello
		nameless.ServerName = ""
		for _, c := range list {
			if nameless.SupportsCertificate(c) == nil {
				return c, nil
			}
		}
		return list[0], nil
	}
}

func rank(c *tls.Certificate) int {
	switch c.Leaf.PublicKey.(type) {
	case ed25519.PublicKey, *ecdsa.PublicKey:
		return 0
	}
	return 1
}

// Choose returns the function that a listener needs: find says which of servers a client
// gets that asks for host (empty if it names none). A nil server has no certificate of its
// own: the one numbered fallback answers for it, as in nginx. The number of the one that
// answers goes into tlsio.Info. rejects tells the servers that refuse handshakes (ssl_reject_handshake).
func Choose(servers []*Server, fallback int, rejects []bool, find func(host string) int) func(
	*tls.ClientHelloInfo) *tlsio.ServerConfig {
	return func(hello *tls.ClientHelloInfo) *tlsio.ServerConfig {
		i := find(hello.ServerName)
		if i < 0 || i >= len(servers) || rejects[i] {
			return nil
		}
		s := servers[i]
		if s == nil {
			i = fallback
			s = servers[i]
		}
		if s == nil {
			return nil
		}
		state := s.state.Load()
		if state == nil {
			return nil
		}
		return &tlsio.ServerConfig{Config: state.config, Verify: state.verify, Index: i}
	}
}
