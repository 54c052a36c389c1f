package route

import (
	"bytes"
	"strings"
)

// hostnames finds values by host name, as server_name and map's hostnames do: exact
// names first, then the longest "*.x", then the longest "x.*". Names are in lower
// case. An exact empty name is the absence of a host.
type hostnames[T any] struct {
	exact map[string]T
	heads map[string]T // "*.example.com" under ".example.com"
	tails map[string]T // "www.example.*" under "www.example."
}

// add enters a name or mask; it changes nothing and returns false if that conflicts
// with one already there. ".x" is both "x" and "*.x".
func (h *hostnames[T]) add(name string, value T) bool {
	if h.exact == nil {
		h.exact, h.heads, h.tails = map[string]T{}, map[string]T{}, map[string]T{}
	}
	name = strings.ToLower(name)
	into, key := h.exact, name
	switch {
	case strings.HasPrefix(name, "*.") && len(name) > 2:
		into, key = h.heads, name[1:]
	case strings.HasSuffix(name, ".*") && len(name) > 2:
		into, key = h.tails, name[:len(name)-1]
	case strings.HasPrefix(name, ".") && len(name) > 1:
		if _, taken := h.exact[name[1:]]; taken {
			return false
		}
		if _, taken := h.heads[name]; taken {
			return false
		}
		h.exact[name[1:]] = value
		into = h.heads
	}
	if _, taken := into[key]; taken {
		return false
	}
	into[key] = value
	return true
}

// find looks for host, which is in lower case and has no trailing dot.
func (h *hostnames[T]) find(host []byte) (value T, found bool) {
	if value, found = h.exact[string(host)]; found {
		return value, true
	}
	if len(h.heads) > 0 {
		for at := bytes.IndexByte(host, '.'); at >= 0; {
			if value, found = h.heads[string(host[at:])]; found {
				return value, true
			}
			next := bytes.IndexByte(host[at+1:], '.')
			if next < 0 {
				break
			}
			at += 1 + next
		}
	}
	if len(h.tails) > 0 {
		for end := bytes.LastIndexByte(host, '.'); end > 0; end = bytes.LastIndexByte(host[:end], '.') {
			if value, found = h.tails[string(host[:end+1])]; found {
				return value, true
			}
		}
	}
	return value, false
}

// lower turns the ASCII letters of b into lower case.
func lower(b []byte) []byte {
	for i := range b {
		if b[i] >= 'A' && b[i] <= 'Z' {
			b[i] |= 0x20
		}
	}
	return b
}

func hasUpper(b []byte) bool {
	for _, c := range b {
		if c >= 'A' && c <= 'Z' {
			return true
		}
	}
	return false
}
