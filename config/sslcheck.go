package config

import "strings"

// checkSSL judges the certificates and versions of the servers that listen with ssl, as
// nginx does, and warns of what only seems to be set.
func (l *loader) checkSSL() {
	listens := map[*Server]bool{}
	for _, li := range l.cfg.HTTP.Listeners {
		if !li.SSL {
			continue
		}
		l.checkListenSSL(li)
		for _, s := range li.Servers {
			listens[s] = true
		}
	}
	for _, used := range []bool{true, false} { // an error goes before a warning about the same line
		for _, sl := range l.listensOf {
			if s := sl.server; listens[s] == used && !l.refusedIn[s] {
				l.checkServerSSL(s, used)
			}
		}
	}
	for _, sl := range l.listensOf {
		s := sl.server
		if l.refusedIn[s] {
			continue
		}
		l.checkLocationsSSL(s.Locations)
		l.checkLocationsSSL(s.Named)
		if s.Stream != nil && s.Settings.Stream.ProxySSL && s.Stream.ProxyPass != nil {
			l.checkProxySSL(s.Stream.ProxyPass.Position, &s.Settings.Proxy.SSL)
		}
	}
	l.checkUnusedProtocols()
}

// checkListenSSL reports the servers of an address with ssl that have no certificate: the
// default server needs one, the others may use that one's.
func (l *loader) checkListenSSL(li *Listener) {
	report := func(s *Server) {
		if len(s.Settings.SSL.Certificates) == 0 && !s.Settings.SSL.RejectHandshake && !l.refusedIn[s] {
			l.add(Error, s.Position, "write ssl_certificate FILE; and ssl_certificate_key FILE; in the server or in http",
				`no "ssl_certificate" is defined for the "listen ... ssl" directive of %s`, li.Addr)
		}
	}
	report(li.Default)
	if len(li.Default.Settings.SSL.Certificates) > 0 {
		return
	}
	for _, s := range li.Servers {
		report(s)
	}
}

func (l *loader) checkServerSSL(s *Server, listens bool) {
	set := &s.Settings.SSL
	if len(set.Keys) < len(set.Certificates) {
		l.add(Error, set.Certificates[len(set.Keys)].Position, "write ssl_certificate_key FILE; for each ssl_certificate",
			`no "ssl_certificate_key" is defined for certificate %q`, set.Certificates[len(set.Keys)].Path)
	}
	if len(set.Protocols.Old) > 0 && (listens || !l.reported(set.Protocols.Position)) {
		sev := Warning // so that what many packages bring as their http block still loads
		if listens {
			sev = Error
		}
		l.oldProtocols(sev, "ssl_protocols", &set.Protocols)
	}
	if !listens {
		return
	}
	needsCA := set.VerifyClient == VerifyOn || set.VerifyClient == VerifyOptional
	if needsCA && set.ClientCertificate.Path == "" && set.TrustedCertificate.Path == "" && len(set.Certificates) > 0 {
		l.add(Error, s.Position, "write ssl_client_certificate FILE; with the authorities",
			"no ssl_client_certificate for ssl_verify_client")
	}
	if set.Stapling && set.StaplingFile.Path == "" && len(set.Certificates) > 0 && !l.warned["ssl_stapling"] {
		l.warned["ssl_stapling"] = true
		l.add(Warning, s.Position, "write ssl_stapling_file FILE;, or remove it",
			`"ssl_stapling" has no effect: responses are not fetched from the authority`)
	}
}

// checkUnusedProtocols warns of versions that the http block asks for and no server uses.
func (l *loader) checkUnusedProtocols() {
	set := &l.cfg.HTTP.Settings
	if len(set.SSL.Protocols.Old) > 0 && !l.reported(set.SSL.Protocols.Position) {
		l.oldProtocols(Warning, "ssl_protocols", &set.SSL.Protocols)
	}
	if len(set.Proxy.SSL.Protocols.Old) > 0 && !l.reported(set.Proxy.SSL.Protocols.Position) {
		l.oldProtocols(Warning, "proxy_ssl_protocols", &set.Proxy.SSL.Protocols)
	}
}

// reported says whether anything is said about a line.
func (l *loader) reported(at Position) bool {
	for _, p := range l.problems {
		if p.File == at.File && p.Line == at.Line {
			return true
		}
	}
	return false
}

// checkProxySSL judges TLS with the upstream where a server or location uses it.
func (l *loader) checkProxySSL(at Position, set *ProxySSLSettings) {
	if len(set.Protocols.Old) > 0 {
		l.oldProtocols(Error, "proxy_ssl_protocols", &set.Protocols)
	}
	if set.Certificate.Path != "" && set.Key.Path == "" {
		l.add(Error, set.Certificate.Position, "write proxy_ssl_certificate_key FILE;",
			`no "proxy_ssl_certificate_key" is defined for certificate %q`, set.Certificate.Path)
	}
	if set.Verify && set.Trusted.Path == "" {
		l.add(Error, at, "write proxy_ssl_trusted_certificate FILE; with the authorities",
			"no proxy_ssl_trusted_certificate for proxy_ssl_verify")
	}
}

// checkLocationsSSL does so for locations and those inside them.
func (l *loader) checkLocationsSSL(list []*Location) {
	for _, loc := range list {
		if loc.ProxyPass != nil && loc.ProxyPass.MayUseTLS() {
			l.checkProxySSL(loc.ProxyPass.Position, &loc.Settings.Proxy.SSL)
		}
		l.checkLocationsSSL(loc.Inner())
	}
}

// MayUseTLS says whether requests go, or with the values of variables may go, to https://.
func (p *ProxyPass) MayUseTLS() bool {
	return p.TLS || p.Variables && !strings.HasPrefix(strings.ToLower(p.Text), "http://")
}
