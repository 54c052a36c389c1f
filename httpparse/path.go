package httpparse

// segment is what is known of the path segment being written.
type segment uint8

const (
	segmentStart  segment = iota // just after a slash
	segmentDot                   // "." so far
	segmentDotDot                // ".." so far
	segmentOther
)

// NormalizePath appends nginx's $uri for path to dst: percent-encoding decoded, "."
// and ".." segments resolved and, with mergeSlashes (nginx's merge_slashes), runs of
// "/" made one. An encoded "/" or "." acts as the character itself, as in nginx; an
// encoded "%", "?" or "#" is an ordinary byte. An empty path is "/".
//
// path is a Target's Path: it begins with "/" and has no query. Refused are "%"
// without two hexadecimal digits, %00, more ".." than segments before them, and raw
// bytes that ParseTarget refuses.
//
// It allocates only if dst has no room for len(path)+1 more bytes. dst and path must
// not overlap. On an error dst is returned with the length it came with.
func NormalizePath(dst, path []byte, mergeSlashes bool) ([]byte, Error) {
	if len(path) == 0 {
		return append(dst, '/'), OK
	}
	if path[0] != '/' {
		return dst, ErrPath
	}
	root, at := len(dst), segmentOther
	var ok bool
	for i := 0; i < len(path); i++ {
		c := path[i]
		switch {
		case c == '%':
			var err Error
			if c, err = decodePercent(path[i:]); err != OK {
				return dst[:root], err
			}
			i += 2
		case classes[c]&classTarget == 0, c == '?':
			return dst[:root], ErrPath
		}
		if c != '/' {
			dst, at = append(dst, c), at.extend(c)
			continue
		}
		if at == segmentOther || at == segmentStart && !mergeSlashes {
			dst = append(dst, '/')
		} else if dst, ok = resolveDots(dst, root, at); !ok {
			return dst[:root], ErrPathRoot
		}
		at = segmentStart
	}
	if dst, ok = resolveDots(dst, root, at); !ok {
		return dst[:root], ErrPathRoot
	}
	return dst, OK
}

// extend is the segment with c, not a slash, at its end. An encoded "%", "?" or "#"
// needs no case of its own: none of them is a dot.
func (s segment) extend(c byte) segment {
	if c != '.' || s >= segmentDotDot {
		return segmentOther
	}
	return s + 1
}

// decodePercent is the byte that the three bytes at the start of text encode. NUL is
// refused: it ends a string for whoever stands behind the upstream.
func decodePercent(text []byte) (byte, Error) {
	if len(text) < 3 {
		return 0, ErrPathEscape
	}
	high, low := unhex(text[1]), unhex(text[2])
	if high < 0 || low < 0 || high|low == 0 {
		return 0, ErrPathEscape
	}
	return byte(high<<4 | low), OK
}

// resolveDots removes a final "." or ".." segment from dst, for ".." with the segment
// before it; ok is false if there is none after root, where the path begins.
func resolveDots(dst []byte, root int, at segment) (out []byte, ok bool) {
	switch at {
	case segmentDot:
		return dst[:len(dst)-len(".")], true
	case segmentDotDot:
		end := len(dst) - len("/..")
		for end > root && dst[end-1] != '/' {
			end--
		}
		return dst[:max(end, root)], end > root
	}
	return dst, true
}

const upperHex = "0123456789ABCDEF"

// AppendEscapedPath appends path to dst as nginx writes a changed URI into a request
// to an upstream (NGX_ESCAPE_URI): control characters, space, DEL, bytes above 0x7f
// and any of "#%<>?\^`{|} become %XX with upper-case digits. NormalizePath undoes it.
//
// nginx escapes only where the client's path held a percent-encoding, or the request
// was redirected internally; else it sends the bytes of $uri as they are.
func AppendEscapedPath(dst, path []byte) []byte {
	for _, c := range path {
		if classes[c]&classEscape != 0 {
			dst = append(dst, '%', upperHex[c>>4], upperHex[c&15])
		} else {
			dst = append(dst, c)
		}
	}
	return dst
}
