package shard

import (
	"crypto/x509"

	"holdfast/internal/sys"
	"holdfast/observe"
	"holdfast/proxyproto"
	"holdfast/relay"
	"holdfast/route"
	"holdfast/tlsio/info"
)

// proxiedList holds the headers of the PROXY protocol that the connections of sessions began
// with, until they end or become tunnels: by slot, and only those that say something.
type proxiedList struct {
	of    map[uint32]*proxyproto.Header
	spare []*proxyproto.Header
}

// What is kept of headers for reuse: so many, and of each so many bytes of vectors.
const (
	spareHeadersMax = 64
	spareVectorsMax = 512
)

func (l *proxiedList) lend() *proxyproto.Header {
	n := len(l.spare)
	if n == 0 {
		return &proxyproto.Header{}
	}
	h := l.spare[n-1]
	l.spare = l.spare[:n-1]
	return h
}

func (l *proxiedList) giveBack(h *proxyproto.Header) {
	if len(l.spare) < spareHeadersMax && cap(h.TLVs) <= spareVectorsMax {
		l.spare = append(l.spare, h)
	}
}

// keep remembers the header of a session, unless it says nothing.
func (l *proxiedList) keep(slot uint32, h *proxyproto.Header) {
	if !h.Source.IsValid() && len(h.TLVs) == 0 {
		l.giveBack(h)
		return
	}
	if l.of == nil {
		l.of = map[uint32]*proxyproto.Header{}
	}
	l.of[slot] = h
}

// forgetProxied gives up the header of a session that nobody will ask for any more.
func (sh *Shard) forgetProxied(s *Session) {
	if h := sh.proxied.of[s.slot]; h != nil {
		delete(sh.proxied.of, s.slot)
		sh.proxied.giveBack(h)
	}
}

// trim gives up a half of what is kept for reuse, and reports whether more is.
func (l *proxiedList) trim() (more bool) {
	kept := len(l.spare) / 2
	clear(l.spare[kept:])
	l.spare = l.spare[:kept]
	if kept == 0 {
		l.spare = nil
	}
	return kept > 0
}

// onProxyHeader reads the header of the PROXY protocol. It is looked at until it is whole and
// then taken, so that what follows it is there for whoever reads next.
func (sh *Shard) onProxyHeader(s *Session) (again bool) {
	b := sh.mover.Scratch[:proxyproto.LengthMax]
	n := sh.peekClient(s, b)
	if n == 0 {
		return false
	}
	h := sh.proxied.lend()
	length, status := proxyproto.Parse(b[:n], h)
	if status == proxyproto.Done {
		return sh.takeProxyHeader(s, h, b[:length])
	}
	sh.proxied.giveBack(h)
	switch {
	case status != proxyproto.More:
		sh.refuseProxyHeader(s, b[:n], status)
	case s.Down.Bits&relay.RdHup != 0: // with the end all that came before it is here
		sh.endsInProxyHeader(s)
	default:
		// The same bytes can be read again, but only more of them are worth a look, and
		// those come with an event.
		s.Down.Bits &^= relay.CanRead
	}
	return false
}

// endsInProxyHeader closes a connection whose client has ended it within the header.
func (sh *Shard) endsInProxyHeader(s *Session) {
	event, reason := observe.EventFin, observe.ReasonAborted
	if s.Down.Bits&relay.Alarm != 0 {
		if errno := sys.SocketError(s.Down.FD); errno != 0 {
			event, reason = observe.EventReadFailed, errnoReason(errno)
		}
	}
	s.trail = s.trail.Note(observe.SideClient, event)
	sh.logError(s, observe.LevelInfo, "client prematurely closed connection while reading PROXY protocol", nil)
	sh.close(s, reason, observe.SideClient)
}

// takeProxyHeader goes on behind a header, b, that was looked at.
func (sh *Shard) takeProxyHeader(s *Session, h *proxyproto.Header, b []byte) (again bool) {
	if n, errno := sys.Recv(s.Down.FD, b); n != len(b) {
		sh.proxied.giveBack(h)
		s.trail = s.trail.Note(observe.SideClient, observe.EventReadFailed)
		sh.close(s, errnoReason(errno), observe.SideClient)
		return false
	}
	sh.proxied.keep(s.slot, h)
	sh.houseSoon()
	sh.afterProxyHeader(s)
	return true
}

// brokenHeaderShown is how many bytes a log line shows of what is no header.
const brokenHeaderShown = 107

// refuseProxyHeader closes a connection that begins with anything else.
func (sh *Shard) refuseProxyHeader(s *Session, b []byte, status proxyproto.Status) {
	if sh.errors.log.Enabled(observe.LevelError) {
		detail := append(sh.out[:0], '"')
		for _, c := range b[:min(len(b), brokenHeaderShown)] {
			if c == '"' || c == '\\' || c < ' ' || c > '~' {
				const hex = "0123456789ABCDEF"
				detail = append(detail, '\\', 'x', hex[c>>4], hex[c&15])
				continue
			}
			detail = append(detail, c)
		}
		detail = append(detail, `" while reading PROXY protocol: `...)
		detail = append(detail, status.String()...)
		sh.logError(s, observe.LevelError, "broken header:", detail)
		sh.out = detail[:0]
	}
	sh.close(s, observe.ReasonBadRequest, observe.SideClient)
}

// proxyProtocol is the version of the header that goes first on the request's connection to
// its upstream, 0: none.
func (r *Request) proxyProtocol() uint8 {
	switch {
	case r.proxy != nil:
		return r.proxy.ProxyProtocol
	case r.stream != nil && r.stream.Proxy != nil:
		return r.stream.Proxy.ProxyProtocol
	}
	return 0
}

// sendProxyHeader writes the header of the PROXY protocol as the first bytes of a connection
// to an upstream, before any TLS. EAGAIN: the connection does not stand yet. One that does
// not take that much has failed.
func (sh *Shard) sendProxyHeader(s *Session, r *Request, version uint8) sys.Errno {
	out := appendProxyHeader(sh.out[:0], version, &r.env)
	sh.out = out[:0]
	n, errno := sys.Write(s.Up.FD, out)
	if errno == 0 && n < len(out) {
		return sys.ENOBUFS
	}
	return errno
}

// appendProxyHeader appends the header that tells an upstream of the client's connection: its
// addresses, and in version 2 what TLS with the client found out.
func appendProxyHeader(dst []byte, version uint8, e *route.Env) []byte {
	switch {
	case version == 1:
		return proxyproto.AppendV1(dst, e.Remote, e.Local)
	case e.TLS == nil:
		return proxyproto.AppendV2(dst, e.Remote, e.Local, nil)
	}
	client := proxyproto.Client{ALPN: e.TLS.ALPN, Authority: e.TLS.ServerName}
	tls := proxyproto.TLS{
		Version: e.TLS.Version, Cipher: e.TLS.Cipher, CN: commonName(e.TLS), Resumed: e.TLS.Resumed,
		Certificate: len(e.TLS.ClientCert) > 0, Verified: e.TLS.Verify == "SUCCESS",
	}
	client.TLS = &tls
	return proxyproto.AppendV2(dst, e.Remote, e.Local, &client)
}

// commonName is that of the client's certificate; empty without one. Parsing it allocates,
// once for a connection to an upstream.
func commonName(t *info.TLS) string {
	if len(t.ClientCert) == 0 {
		return ""
	}
	cert, err := x509.ParseCertificate(t.ClientCert)
	if err != nil {
		return ""
	}
	return cert.Subject.CommonName
}
