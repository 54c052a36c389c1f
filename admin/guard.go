package admin

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
)

// guard lets GET and HEAD of programs and of people at this address through, and
// nothing that a page of another origin makes a browser send: not by name (DNS
// rebinding), not by script, not in a frame.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		r.Body = http.MaxBytesReader(w, r.Body, bodyBytesMax)
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			h.Set("Allow", "GET, HEAD")
			answer(w, http.StatusMethodNotAllowed, "only GET and HEAD are answered here\n")
		case onLoopback(r) && !isLocalHost(r.Host):
			answer(w, http.StatusForbidden, "the admin address was asked for by a name; on a loopback address only "+
				"an IP address or localhost is accepted as Host, so that web pages cannot reach it (DNS rebinding)\n")
		case crossOrigin(r):
			answer(w, http.StatusForbidden, "requests from web pages of other origins are not answered\n")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// onLoopback tells whether the connection arrived at a loopback address.
func onLoopback(r *http.Request) bool {
	addr, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && addr.IP.IsLoopback()
}

// isLocalHost tells whether a Host header field names an IP address or localhost. No
// Host at all is HTTP/1.0, which no browser speaks.
func isLocalHost(host string) bool {
	if host == "" {
		return true
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	_, err := netip.ParseAddr(host)
	return err == nil
}

// crossOrigin tells whether a browser sent the request for a page of another origin
// (Fetch Metadata; RFC 6454 section 7 for Origin). Following a link is allowed: the
// page the link stands on cannot read the answer.
func crossOrigin(r *http.Request) bool {
	if origin := r.Header.Get("Origin"); origin != "" {
		u, err := url.Parse(origin)
		if err != nil || u.Host == "" || !strings.EqualFold(u.Host, r.Host) {
			return true
		}
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
		return false
	}
	return r.Header.Get("Sec-Fetch-Mode") != "navigate" || r.Header.Get("Sec-Fetch-Dest") != "document"
}
