package preread

// reader takes fields off the front of a message. Once something is missing, short stays
// set and every field is empty.
type reader struct {
	rest  []byte
	short bool
}

func (r *reader) take(n int) []byte {
	if r.short || n > len(r.rest) {
		r.short = true
		return nil
	}
	field := r.rest[:n]
	r.rest = r.rest[n:]
	return field
}

func (r *reader) number(bytes int) (n int) {
	for _, c := range r.take(bytes) {
		n = n<<8 | int(c)
	}
	return n
}

// vector takes a field behind its length, which has so many bytes.
func (r *reader) vector(bytes int) []byte { return r.take(r.number(bytes)) }

func (r *reader) more() bool { return !r.short && len(r.rest) > 0 }

// hello reads the body of a ClientHello (RFC 8446 section 4.1.2).
func (r *reader) hello(h *Hello, seen *[extensionsMax]uint16) bool {
	h.Version = known(r.number(2))
	const random = 32
	r.take(random)
	session := r.vector(1)
	suites := r.vector(2)
	compression := r.vector(1)
	if r.short || len(session) > 32 || len(suites) == 0 || len(suites)%2 != 0 || len(compression) == 0 {
		return false
	}
	if len(r.rest) == 0 { // TLS 1.2 and before, RFC 5246 section 7.4.1.2
		return true
	}
	list := reader{rest: r.vector(2)}
	if r.short || len(r.rest) > 0 {
		return false
	}
	for count := 0; list.more(); count++ {
		kind, body := list.number(2), list.vector(2)
		if list.short || count == extensionsMax || contains(seen[:count], uint16(kind)) {
			return false
		}
		seen[count] = uint16(kind)
		if !h.extension(kind, reader{rest: body}) {
			return false
		}
	}
	return !list.short
}

func contains(list []uint16, n uint16) bool {
	for _, other := range list {
		if other == n {
			return true
		}
	}
	return false
}

// extension reads the extensions that matter here; all of an extension must be used up.
func (h *Hello) extension(kind int, body reader) bool {
	var ok bool
	switch kind {
	case extensionServerName:
		h.ServerName, ok = body.serverName()
	case extensionALPN:
		h.ALPN, ok = body.protocols()
	case extensionVersions:
		h.Version, ok = body.versions()
	default:
		return true
	}
	return ok && !body.short && len(body.rest) == 0
}

// serverName reads a list of names, of which one may be a host name (RFC 6066 section 3).
func (r *reader) serverName() (name []byte, ok bool) {
	const hostName = 0
	list := reader{rest: r.vector(2)}
	if !list.more() {
		return nil, false
	}
	for list.more() {
		kind, text := list.number(1), list.vector(2)
		if kind != hostName {
			continue
		}
		if name != nil || !isHostName(text) {
			return nil, false
		}
		name = text
	}
	return name, !list.short
}

// isHostName accepts more than DNS does, and nothing that could harm a log, a path or a
// comparison.
func isHostName(text []byte) bool {
	const longest = 255
	for _, c := range text {
		if c <= ' ' || c >= 0x7f || c == '/' || c == '\\' || c == '"' {
			return false
		}
	}
	return len(text) > 0 && len(text) <= longest
}

// protocols reads a list of protocol names (RFC 7301 section 3.1).
func (r *reader) protocols() (names []byte, ok bool) {
	names = r.vector(2)
	list := reader{rest: names}
	for list.more() {
		if len(list.vector(1)) == 0 {
			return nil, false
		}
	}
	return names, len(names) > 0 && !list.short
}

// versions reads supported_versions (RFC 8446 section 4.2.1): the highest that is known.
func (r *reader) versions() (highest uint16, ok bool) {
	list := reader{rest: r.vector(1)}
	ok = list.more()
	for list.more() {
		highest = max(highest, known(list.number(2)))
	}
	return highest, ok && !list.short
}

// known is the version if there is one of that number, else 0.
func known(version int) uint16 {
	if version < 0x0300 || version > 0x0304 {
		return 0
	}
	return uint16(version)
}

// AppendALPN appends the protocols with a comma between each two, as
// $ssl_preread_alpn_protocols has them. dst may grow.
func (h *Hello) AppendALPN(dst []byte) []byte {
	list := reader{rest: h.ALPN}
	for first := true; list.more(); first = false {
		if !first {
			dst = append(dst, ',')
		}
		dst = append(dst, list.vector(1)...)
	}
	return dst
}

// Protocol is the version as $ssl_preread_protocol has it; empty if none is known.
func (h *Hello) Protocol() string {
	switch h.Version {
	case 0x0300:
		return "SSLv3"
	case 0x0301:
		return "TLSv1"
	case 0x0302:
		return "TLSv1.1"
	case 0x0303:
		return "TLSv1.2"
	case 0x0304:
		return "TLSv1.3"
	}
	return ""
}
