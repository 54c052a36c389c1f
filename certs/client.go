package certs

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
)

// ClientSpec is how TLS is spoken with upstreams.
type ClientSpec struct {
	// Certificate is shown to upstreams that ask for one; without a path: none.
	Certificate            KeyPair
	PasswordFile           File
	MinVersion, MaxVersion uint16
	CipherSuites           []uint16 // of TLS 1.2; nil: all with forward secrecy
	// Verify has the upstream's certificate verified by the authorities of Trusted.
	Verify       bool
	Depth        int
	Trusted, CRL File
	// SendName tells the upstream the name (SNI).
	SendName     bool
	SessionReuse bool
}

// sessionsMax is how many sessions with upstreams a Client remembers.
const sessionsMax = 1024

// Client is how TLS is spoken with upstreams; it changes with its files.
type Client struct {
	// ID is the same for the same settings, from 1 on.
	ID uint32

	spec     ClientSpec
	now      func() time.Time
	sessions tls.ClientSessionCache
	state    atomic.Pointer[clientState]
}

type clientState struct {
	config   *tls.Config
	verifier *verifier // nil: nothing is verified
	leaf     *x509.Certificate
}

func (c *Client) files() []File {
	return present(c.spec.Certificate.Certificate, c.spec.Certificate.Key, c.spec.PasswordFile, c.spec.Trusted, c.spec.CRL)
}

// load reads the files. It changes nothing unless all are good.
func (c *Client) load() (errs []*FileError) {
	state := &clientState{config: &tls.Config{
		MinVersion: c.spec.MinVersion, MaxVersion: c.spec.MaxVersion, CipherSuites: c.spec.CipherSuites,
		// crypto/tls would ask for a name even where none is to be told; For verifies.
		InsecureSkipVerify: true,
	}}
	if state.config.CipherSuites == nil {
		state.config.CipherSuites = suitesDefault
	}
	if c.spec.Certificate.Certificate.Path != "" {
		own, err := loadKeyPair(c.spec.Certificate, c.spec.PasswordFile)
		if err != nil {
			errs = append(errs, err)
		} else {
			state.leaf = own.Leaf
			// Whatever authorities the upstream names, as nginx does.
			state.config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own, nil }
		}
	}
	if c.spec.Verify {
		v := &verifier{depth: c.spec.Depth, usage: x509.ExtKeyUsageServerAuth}
		var err *FileError
		if v.roots, err = loadPool(c.spec.Trusted); err != nil {
			errs = append(errs, err)
		}
		if c.spec.CRL.Path != "" {
			if v.crls, err = loadCRLs(c.spec.CRL); err != nil {
				errs = append(errs, err)
			}
		}
		state.verifier = v
	}
	if len(errs) == 0 {
		c.state.Store(state)
	}
	return errs
}

// For is the configuration for a handshake with an upstream whose certificate must have the
// name: a host, perhaps with a port, which doesn't count. It may be called from any thread,
// and the result is the caller's.
func (c *Client) For(name string) *tls.Config {
	state := c.state.Load()
	config := state.config.Clone()
	name = withoutPort(name)
	if c.spec.SendName {
		config.ServerName = name // of an address crypto/tls says nothing
	}
	if c.sessions != nil {
		config.ClientSessionCache = namedSessions{c.sessions, name + "\x00"}
	}
	if state.verifier != nil {
		config.VerifyConnection = func(cs tls.ConnectionState) error {
			return c.verify(state.verifier, cs.PeerCertificates, name)
		}
	}
	return config
}

func (c *Client) verify(v *verifier, list []*x509.Certificate, name string) error {
	if len(list) == 0 {
		return errors.New("upstream SSL certificate verify error: there is none")
	}
	if found := v.verify(list, c.now()); found != "" {
		return fmt.Errorf("upstream SSL certificate verify error: %s", found)
	}
	if !hasName(list[0], name) {
		return fmt.Errorf("upstream SSL certificate does not match %q", name)
	}
	return nil
}

// hasName tells whether a certificate is for a name. One without any alternative name is for
// its common name, as nginx and OpenSSL have it.
func hasName(c *x509.Certificate, name string) bool {
	if c.VerifyHostname(name) == nil {
		return true
	}
	if len(c.DNSNames) > 0 || len(c.IPAddresses) > 0 || c.Subject.CommonName == "" {
		return false
	}
	common := *c
	common.DNSNames = []string{c.Subject.CommonName}
	return common.VerifyHostname(name) == nil
}

// withoutPort takes the port off a host, and the brackets off an IPv6 address.
func withoutPort(name string) string {
	if strings.HasPrefix(name, "[") {
		if end := strings.IndexByte(name, ']'); end > 0 {
			return name[1:end]
		}
		return name
	}
	if host, _, found := strings.Cut(name, ":"); found {
		return host
	}
	return name
}

// namedSessions are the sessions with upstreams of one name. crypto/tls asks for those with
// a name that is told, or else with an address, where it must not find those of another name.
type namedSessions struct {
	all  tls.ClientSessionCache
	name string
}

// Get is part of tls.ClientSessionCache.
func (n namedSessions) Get(key string) (*tls.ClientSessionState, bool) {
	return n.all.Get(n.name + key)
}

// Put is part of tls.ClientSessionCache.
func (n namedSessions) Put(key string, s *tls.ClientSessionState) { n.all.Put(n.name+key, s) }
