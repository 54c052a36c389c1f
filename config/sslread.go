package config

import (
	"crypto/tls"
	"strings"
)

func readNothing(*level, *node) {}

func readIgnoredSize(l *level, n *node) {
	if _, ok := parseSize(n.args[0]); !ok {
		l.invalid(n, n.args[0], hintSize)
	}
}

// number reads a number into a field of the settings.
func number(field func(*Settings) *int) func(*level, *node) {
	return func(l *level, n *node) {
		v, ok := parseInt(n.args[0], 0)
		if !ok {
			l.invalid(n, n.args[0], hintNumber)
			return
		}
		*field(l.set) = v
	}
}

// file reads the name of a file; ok is false after an error. An empty name is none.
func (l *level) file(n *node) (f File, ok bool) {
	name := n.args[0]
	switch {
	case name == "":
		return File{}, true
	case strings.ContainsRune(name, 0):
		l.invalid(n, name, "write a path")
		return File{}, false
	}
	return File{Position: n.Position, Path: l.confFile(name)}, true
}

// namedFile reads the name of a file into a field of the settings.
func namedFile(field func(*Settings) *File) func(*level, *node) {
	return func(l *level, n *node) {
		if f, ok := l.file(n); ok {
			*field(l.set) = f
		}
	}
}

// certificateName reads the name of a file with a certificate or key, where nginx also
// takes other things.
func (l *level) certificateName(n *node) (f File, ok bool) {
	name := n.args[0]
	switch {
	case strings.HasPrefix(name, "data:"):
		l.add(Error, n.Position, "write the name of a file", "data: in %q is not supported", n.name)
	case strings.HasPrefix(name, "engine:"), strings.HasPrefix(name, "store:"):
		l.add(Error, n.Position, "write the name of a file",
			"keys of OpenSSL's engines and stores in %q are not supported", n.name)
	case strings.Contains(name, "$"):
		l.add(Error, n.Position, "write a server for each name, or one certificate with all names; "+
			"certificates are chosen by SNI among servers", "variables in %q are not supported", n.name)
	case name == "":
		l.invalid(n, name, "write the name of a file")
	default:
		return l.file(n)
	}
	l.refused = true
	return File{}, false
}

func certificateFile(field func(*Settings) *File) func(*level, *node) {
	return func(l *level, n *node) {
		if f, ok := l.certificateName(n); ok {
			*field(l.set) = f
		}
	}
}

// fileList reads one of several files into a list, of which a level that has any
// inherits none.
func (l *level) fileList(n *node, list *[]File, f File, ok bool) {
	if l.first(n) {
		*list = nil
	}
	if ok {
		// Levels must not append to one array.
		*list = append((*list)[:len(*list):len(*list)], f)
	}
}

func readCertificate(l *level, n *node) {
	f, ok := l.certificateName(n)
	l.fileList(n, &l.set.SSL.Certificates, f, ok)
}

func readCertificateKey(l *level, n *node) {
	f, ok := l.certificateName(n)
	l.fileList(n, &l.set.SSL.Keys, f, ok)
}

func readTicketKey(l *level, n *node) {
	f, ok := l.file(n)
	if ok && f.Path == "" {
		l.invalid(n, n.args[0], "write the name of a file")
		ok = false
	}
	l.fileList(n, &l.set.SSL.TicketKeys, f, ok)
}

func readProtocols(field func(*Settings) *SSLProtocols) func(*level, *node) {
	return func(l *level, n *node) {
		p := SSLProtocols{Position: n.Position}
		for _, arg := range n.args {
			var version uint16
			switch strings.ToLower(arg) {
			case "tlsv1.3":
				version = tls.VersionTLS13
			case "tlsv1.2":
				version = tls.VersionTLS12
			case "sslv2", "sslv3", "tlsv1", "tlsv1.1":
				p.Old = append(p.Old, arg)
				continue
			default:
				l.invalid(n, arg, "write TLSv1.2 or TLSv1.3")
				return
			}
			p.Max = max(p.Max, version)
			if p.Min == 0 || version < p.Min {
				p.Min = version
			}
		}
		if p.Max == 0 {
			l.oldProtocols(Error, n.name, &p)
			p.Min, p.Max, p.Old = tls.VersionTLS12, tls.VersionTLS13, nil
		}
		*field(l.set) = p
	}
}

// oldProtocols reports versions of TLS that are not spoken any more.
func (l *loader) oldProtocols(sev Severity, directive string, p *SSLProtocols) {
	wanted := "TLSv1.2 TLSv1.3"
	if p.Min == p.Max && p.Max == tls.VersionTLS12 {
		wanted = "TLSv1.2"
	} else if p.Min == p.Max && p.Max != 0 {
		wanted = "TLSv1.3"
	}
	l.add(sev, p.Position, "write: "+directive+" "+wanted+";", "%s of %q: not spoken any more, it is broken (RFC 8996)",
		strings.Join(p.Old, " "), directive)
}

func readCiphers(field func(*Settings) *[]uint16) func(*level, *node) {
	return func(l *level, n *node) {
		ids, unsupported := cipherList(n.args[0])
		if len(ids) == 0 {
			l.add(Error, n.Position, "write ECDHE+AESGCM:ECDHE+CHACHA20, or leave it out",
				"no cipher match: of %q in %q nothing is supported", n.args[0], n.name)
			return
		}
		if len(unsupported) > 0 && !l.warned[n.args[0]] {
			l.warned[n.args[0]] = true
			l.add(Warning, n.Position, "what remains is "+suiteNames(ids), "%q: not supported: %s", n.name,
				strings.Join(unsupported, " "))
		}
		*field(l.set) = ids
	}
}

func readCurves(l *level, n *node) {
	const hint = "write auto, or of X25519MLKEM768, SecP256r1MLKEM768, SecP384r1MLKEM1024, X25519, prime256v1, " +
		"secp384r1 and secp521r1 what is wanted, joined by colons"
	if n.args[0] == "auto" {
		l.set.SSL.Curves = nil
		return
	}
	var list []tls.CurveID
	var unsupported []string
	for _, name := range strings.Split(n.args[0], ":") {
		if id, ok := curves[strings.ToLower(name)]; ok {
			list = append(list, id)
		} else {
			unsupported = append(unsupported, name)
		}
	}
	if len(list) == 0 {
		l.invalid(n, n.args[0], hint)
		return
	}
	if len(unsupported) > 0 {
		l.add(Warning, n.Position, "the others remain", "%q: not supported: %s", n.name, strings.Join(unsupported, " "))
	}
	l.set.SSL.Curves = list
}

func readEarlyData(l *level, n *node) {
	if isOn(n.args[0]) {
		l.warnNoEffect(n, "early data can be replayed and is never taken; clients send it again")
	}
}

// readSessionCache checks what nginx would take.
func readSessionCache(l *level, n *node) {
	for _, arg := range n.args {
		kind, rest, _ := strings.Cut(arg, ":")
		ok := false
		switch {
		case arg == "off", arg == "none", arg == "builtin":
			ok = true
		case kind == "builtin":
			_, ok = parseInt(rest, 0)
		case kind == "shared":
			name, bytes, _ := strings.Cut(rest, ":")
			size, isSize := parseSize(bytes)
			ok = name != "" && isSize && size >= sessionCacheMin
		}
		if !ok {
			l.invalid(n, arg, "write shared:NAME:SIZE with 32k at least, none or off")
			return
		}
	}
}

// sessionCacheMin is the least that nginx takes on machines with pages of 4 KiB.
const sessionCacheMin = 32 << 10

func readVerifyClient(l *level, n *node) {
	switch strings.ToLower(n.args[0]) {
	case "off":
		l.set.SSL.VerifyClient = VerifyOff
	case "on":
		l.set.SSL.VerifyClient = VerifyOn
	case "optional":
		l.set.SSL.VerifyClient = VerifyOptional
	case "optional_no_ca":
		l.set.SSL.VerifyClient = VerifyOptionalNoCA
	default:
		l.invalid(n, n.args[0], "write on, off, optional or optional_no_ca")
	}
}

func readOffOnly(l *level, n *node) {
	if !strings.EqualFold(n.args[0], "off") {
		l.refused = true
		l.add(Error, n.Position, "write off, or leave it out; ssl_crl is supported", "%q is not supported", n.name)
	}
}

func readConfCommand(l *level, n *node) {
	switch strings.ToLower(n.args[0]) {
	case "ciphersuites":
		l.warnNoEffect(n, "TLS 1.3 always has its three suites")
	case "options":
		l.warnNoEffect(n, "OpenSSL is not used")
	default:
		l.refused = true
		l.add(Error, n.Position, "use the directives of the same purpose", "%q of %q is not supported", n.args[0], n.name)
	}
}

func readProxySSLName(l *level, n *node) {
	l.text(n.Position, n.name, n.args[0])
	l.set.Proxy.SSL.Name = Text{Position: n.Position, Text: n.args[0]}
}

func readHandshakes(l *level, n *node) {
	h := &l.cfg.Events.Handshakes
	for _, arg := range n.args {
		name, value, _ := strings.Cut(arg, "=")
		field := map[string]*int{"active": &h.Active, "queue": &h.Queue, "computing": &h.Computing}[name]
		v, ok := parseInt(value, 1)
		if field == nil || !ok {
			l.invalid(n, arg, "write active=, queue= or computing= with a number from 1 on")
			return
		}
		*field = v
	}
}
