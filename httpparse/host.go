package httpparse

import "bytes"

// HostCount is the number of Host field lines.
func (r *Request) HostCount() int { return r.Count(FieldHost) }

// Authority is what the request names as its host and port: the authority of an
// absolute-form or authority-form target, which overrides Host (RFC 9112 section
// 3.2.2), else the value of Host; nil if there is neither (HTTP/1.0). t is
// ParseTarget's result for r. The result aliases buf; ParseHost takes it apart.
func (r *Request) Authority(buf []byte, t Target) []byte {
	if t.Authority.Len() > 0 {
		return t.Authority.Of(r.Target.Of(buf))
	}
	value, _ := r.Find(buf, FieldHost)
	return value
}

// checkHost is RFC 9112 section 3.2: HTTP/1.1 has exactly one Host, HTTP/1.0 at most
// one. As nginx does, an empty one is refused.
func (r *Request) checkHost(buf []byte) Error {
	value, found := r.Find(buf, FieldHost)
	switch {
	case !found && r.Minor == 0:
		return OK
	case !found:
		return ErrHostMissing
	case r.HostCount() > 1:
		return ErrHostRepeated
	}
	_, _, err := ParseHost(value)
	return err
}

// ParseHost takes apart uri-host [ ":" port ], the value of Host (RFC 9110 section
// 7.2). host is a registered name or IPv4 address without a final dot, or an IPv6
// address in its brackets; its case is kept. port is the digits behind the colon,
// 0 to 65535, and empty if there are none. Both alias value.
//
// Refused are an empty host, empty labels inside a name, userinfo, bytes that RFC 3986
// section 3.2.2 does not allow in a name (so every byte above 0x7f), IPv6 zones and
// IPvFuture.
func ParseHost(value []byte) (host, port []byte, err Error) {
	end := hostEnd(value)
	if end <= 0 {
		return nil, nil, ErrHost
	}
	host, rest := value[:end], value[end:]
	if host[0] != '[' && host[end-1] == '.' {
		host = host[:end-1]
	}
	if len(rest) == 0 {
		return host, nil, OK
	}
	if rest[0] != ':' || !validPort(rest[1:]) {
		return nil, nil, ErrHost
	}
	return host, rest[1:], OK
}

// hostEnd is the length of the host at the start of value, or -1 if it is malformed.
func hostEnd(value []byte) int {
	if len(value) > 0 && value[0] == '[' {
		end := bytes.IndexByte(value, ']')
		if end < 0 || !validIPv6(value[1:end]) {
			return -1
		}
		return end + 1
	}
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == ':':
			return i
		case c == '.' && (i == 0 || value[i-1] == '.'):
			return -1
		case c == '%':
			if i+2 >= len(value) || unhex(value[i+1]) < 0 || unhex(value[i+2]) < 0 {
				return -1
			}
			i += 2
		case classes[c]&classHost == 0:
			return -1
		}
	}
	return len(value)
}

func validPort(digits []byte) bool {
	n := 0
	for _, c := range digits {
		if c-'0' > 9 {
			return false
		}
		if n = n*10 + int(c-'0'); n > 65535 {
			return false
		}
	}
	return true
}

// validIPv6 is the IPv6address of RFC 3986 section 3.2.2.
func validIPv6(b []byte) bool {
	groups, elided, i := 0, false, 0
	if len(b) >= 2 && b[0] == ':' && b[1] == ':' {
		elided, i = true, 2
	}
	for i < len(b) {
		end := i
		for end < len(b) && unhex(b[end]) >= 0 {
			end++
		}
		if end < len(b) && b[end] == '.' {
			if !validIPv4(b[i:]) {
				return false
			}
			groups += 2
			break
		}
		if end == i || end-i > 4 {
			return false
		}
		groups++
		if end == len(b) {
			break
		}
		if b[end] != ':' || end+1 == len(b) {
			return false
		}
		i = end + 1
		if b[i] == ':' {
			if elided {
				return false
			}
			elided = true
			i++
		}
	}
	if elided {
		return groups < 8
	}
	return groups == 8
}

// validIPv4 is four decimal octets without leading zeros.
func validIPv4(b []byte) bool {
	octets := 0
	for {
		n, digits := 0, 0
		for digits < len(b) && digits < 3 && b[digits]-'0' <= 9 {
			n = n*10 + int(b[digits]-'0')
			digits++
		}
		if digits == 0 || n > 255 || digits > 1 && b[0] == '0' {
			return false
		}
		octets++
		b = b[digits:]
		if len(b) == 0 {
			return octets == 4
		}
		if b[0] != '.' || octets == 4 {
			return false
		}
		b = b[1:]
	}
}

// unhex is the value of a hexadecimal digit, or -1.
func unhex(c byte) int {
	switch {
	case c-'0' <= 9:
		return int(c - '0')
	case (c|0x20)-'a' < 6:
		return int((c|0x20)-'a') + 10
	}
	return -1
}
