package tlsio

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"strings"

	"holdfast/internal/sys"
)

// FailureClass says what kind of failure ended a handshake.
type FailureClass uint8

// The classes.
const (
	FailOther       FailureClass = iota
	FailTimeout                  // Order.Deadline has passed, or it gave way to others
	FailClosed                   // the other side closed or reset the connection
	FailCancelled                // Handshake.Cancel
	FailRefused                  // Order.Choose refused the client
	FailCipher                   // nothing in common: suites, groups, protocols
	FailVersion                  // no version in common
	FailHello                    // the first bytes were no TLS, or no hello that makes sense
	FailCertificate              // the other side's certificate, or that it has none
	FailPeerAlert                // the other side ended it by an alert
	failureClasses
)

// FailureClasses is how many classes there are.
const FailureClasses = int(failureClasses)

var failureNames = [FailureClasses]string{
	"other", "timeout", "closed", "cancelled", "refused", "no_cipher", "version", "bad_hello", "certificate", "peer_alert",
}

// String is the class's name in metrics.
func (c FailureClass) String() string { return failureNames[c] }

// Failure is why a handshake came to nothing.
type Failure struct {
	Class FailureClass
	Text  string // why, for the error log
}

// Error implements error.
func (f *Failure) Error() string { return f.Text }

// failure classifies what crypto/tls returned. It keeps nothing of err, which may hold
// on to the connection. The text has no word of TLS or of a handshake: its caller says that.
func failure(err error, w *wire) *Failure {
	var mine *Failure
	if errors.As(err, &mine) {
		return mine
	}
	text := strings.TrimPrefix(err.Error(), "tls: ")
	switch {
	case w.refused:
		return &Failure{Class: FailRefused, Text: "handshake rejected"}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return &Failure{Class: FailClosed, Text: "peer closed connection"}
	}
	return &Failure{Class: classify(err, w), Text: text}
}

func classify(err error, w *wire) FailureClass {
	var header tls.RecordHeaderError
	var remote *net.OpError
	var errno sys.Errno
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var host x509.HostnameError
	var verification *tls.CertificateVerificationError
	switch {
	case errors.As(err, &errno):
		return FailClosed
	case errors.As(err, &remote) && remote.Op == "remote error":
		return FailPeerAlert
	case errors.As(err, &verification), errors.As(err, &unknown), errors.As(err, &invalid), errors.As(err, &host):
		return FailCertificate
	case errors.As(err, &header):
		return FailHello
	}
	return classifyText(err.Error(), w)
}

// classifyText goes by the words of crypto/tls, which has no types for these errors, and
// by how far the handshake came. A test holds it to them.
func classifyText(text string, w *wire) FailureClass {
	has := func(words ...string) bool {
		for _, s := range words {
			if strings.Contains(text, s) {
				return true
			}
		}
		return false
	}
	switch {
	case has("unsupported versions", "unsupported protocol version", "protocol fallback", "downgrade"):
		return FailVersion
	case has("no cipher suite", "unconfigured cipher suite", "no key exchanges", "unsupported group",
		"no supported elliptic curves", "application protocol", "ALPN", "no mutual", "certificate request",
		"doesn't support any of the certificate's signature algorithms", "incompatible point formats"):
		return FailCipher
	case has("certificate"):
		return FailCertificate
	case !w.client && w.out.records == 0, !w.client && w.out.hello.len == 0:
		return FailHello // all that was sent is an alert
	}
	return FailOther
}
