package config

import (
	"crypto/tls"
	"path/filepath"
	"time"
)

// File is a file that a directive names.
type File struct {
	Position
	// Path is absolute; empty if no file was named.
	Path string
}

// SSLSettings are the ssl_* values of a level.
type SSLSettings struct {
	// Certificates and Keys are in the order written; those of the same number belong
	// together. A level that has any inherits none.
	Certificates, Keys []File
	// PasswordFile has the passwords of encrypted keys, one a line.
	PasswordFile File
	Protocols    SSLProtocols
	// Ciphers are the suites of TLS 1.2; nil means all that are supported and have forward
	// secrecy.
	Ciphers []uint16
	// Curves are the key exchanges; nil means the defaults.
	Curves []tls.CurveID

	// SessionTimeout is how long a session can be resumed.
	SessionTimeout time.Duration
	SessionTickets bool
	// TicketKeys are files with a key for tickets: the first encrypts, all decrypt. Without
	// any the process makes its own.
	TicketKeys []File

	VerifyClient VerifyClient
	// VerifyDepth is how many certificates may stand between the client's and the one that
	// is trusted.
	VerifyDepth int
	// ClientCertificate has the authorities that clients are told of and verified by,
	// TrustedCertificate more of them, of which clients are not told; CRL what was revoked.
	ClientCertificate, TrustedCertificate, CRL File

	// RejectHandshake refuses the clients that ask for the names of the server.
	RejectHandshake bool
	// StaplingFile is the OCSP response to send, as DER; it counts only with Stapling.
	StaplingFile File
	Stapling     bool

	// HandshakeTimeout bounds a handshake.
	HandshakeTimeout time.Duration
}

// SSLProtocols is a range of versions of TLS, as on the wire.
type SSLProtocols struct {
	// Position is where it was written; zero for the default.
	Position
	Min, Max uint16
	// Old are the versions asked for that are not spoken any more, in the words of nginx.
	Old []string
}

// VerifyClient says what is done about certificates of clients (ssl_verify_client).
type VerifyClient uint8

// The values of ssl_verify_client.
const (
	VerifyOff          VerifyClient = iota // not asked for
	VerifyOn                               // asked for; requests without a good one are refused
	VerifyOptional                         // asked for; requests with a bad one are refused
	VerifyOptionalNoCA                     // the same, but an unknown authority is no fault
)

// ProxySSLSettings are the proxy_ssl_* values of a level.
type ProxySSLSettings struct {
	// Certificate and Key are what an upstream is shown that asks for it.
	Certificate, Key, PasswordFile File
	Protocols                      SSLProtocols
	Ciphers                        []uint16 // as of SSLSettings
	// Verify has the certificate of the upstream verified by the authorities of Trusted, with
	// Depth of them between, and by CRL.
	Verify       bool
	Depth        int
	Trusted, CRL File
	// Name is the name that the certificate must have, with variables, and without any text
	// the host of proxy_pass; SendName tells it the upstream, too.
	Name     Text
	SendName bool
	// SessionReuse resumes sessions.
	SessionReuse bool
}

// Handshakes bounds the TLS handshakes of the process (ssl_handshakes); 0 stands for a
// default.
type Handshakes struct {
	Active, Queue, Computing int
}

func defaultProtocols() SSLProtocols {
	return SSLProtocols{Min: tls.VersionTLS12, Max: tls.VersionTLS13}
}

func defaultSSL() SSLSettings {
	return SSLSettings{
		Protocols: defaultProtocols(), SessionTimeout: 5 * time.Minute, SessionTickets: true, VerifyDepth: 1,
		HandshakeTimeout: time.Minute,
	}
}

func defaultProxySSL() ProxySSLSettings {
	return ProxySSLSettings{
		Protocols: defaultProtocols(), Depth: 1, SessionReuse: true,
	}
}

// confFile joins a relative path of a certificate, key or list to the folder of the main
// configuration file, as nginx does.
func (l *loader) confFile(path string) string {
	if !filepath.IsAbs(path) {
		path = filepath.Join(l.confDir, path)
	}
	if full, err := filepath.Abs(path); err == nil {
		return full
	}
	return path
}
