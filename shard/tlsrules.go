package shard

import (
	"bytes"

	"holdfast/observe"
	"holdfast/route"
)

// Statuses that only error_page knows; clients are told 400. They are nginx's.
const (
	statusCertificateError = 495 // the client's certificate did not verify
	statusNoCertificate    = 496 // it sent none, and ssl_verify_client is on
	statusPlainOnTLS       = 497 // it sent plain HTTP to a TLS port
)

// onWire is the status that the client is told.
func onWire(status int) int {
	switch status {
	case statusCertificateError, statusNoCertificate, statusPlainOnTLS:
		return 400
	}
	return status
}

// noteOf is what the page of such a status says besides.
func noteOf(status int) string {
	switch status {
	case statusCertificateError:
		return "The SSL certificate error"
	case statusNoCertificate:
		return "No required SSL certificate was sent"
	case statusPlainOnTLS:
		return "The plain HTTP request was sent to HTTPS port"
	}
	return ""
}

// misdirected reports whether the client named another server in its handshake, or its
// certificate was judged by other rules than those of the request's server: by those of the
// default server, where it named none; of an earlier configuration, perhaps. The latter nginx lets pass.
func misdirected(r *Request) bool {
	e := &r.env
	if e.TLS.ServerName != "" && !bytes.EqualFold(bytes.TrimSuffix(e.Host, []byte(".")), []byte(e.TLS.ServerName)) {
		return true
	}
	return e.TLS.Server >= 0 && uint32(e.TLS.Server) != r.server.Settings.SSLVerifyRules
}

// judgeTLS judges a request by the way it came; the status of a refusal is for error_page.
func (sh *Shard) judgeTLS(s *Session, r *Request) (status int) {
	e := &r.env
	verify := r.server.Settings.SSLVerifyClient
	switch {
	case r.plainOnTLS:
		s.cause(observe.ReasonBadRequest, observe.SideClient)
		sh.logError(s, observe.LevelInfo, "client sent plain HTTP request to HTTPS port", nil)
		return statusPlainOnTLS
	case misdirected(r):
		s.cause(observe.ReasonBadRequest, observe.SideClient)
		sh.logError(s, observe.LevelInfo,
			"client attempted to request the server name different from the one that was negotiated", nil)
		return 421
	case verify == route.VerifyOptionalNoCA && route.UnknownAuthority(e.TLS.Verify):
		return 0
	case len(e.TLS.Verify) > 0 && e.TLS.Verify[0] == 'F':
		s.cause(observe.ReasonBadRequest, observe.SideClient)
		sh.logError(s, observe.LevelInfo, "client SSL certificate verify error:", []byte(e.TLS.Verify))
		return statusCertificateError
	case verify == route.VerifyOn && e.TLS.Verify != "SUCCESS":
		s.cause(observe.ReasonBadRequest, observe.SideClient)
		sh.logError(s, observe.LevelInfo, "client sent no required SSL certificate", nil)
		return statusNoCertificate
	}
	return 0
}
