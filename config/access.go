package config

import (
	"net/netip"
	"strings"
)

// AccessRule is one allow or deny directive. The first of a level that matches decides.
type AccessRule struct {
	Position
	Allow bool
	// All matches every client, Unix those of unix-domain sockets; else Prefix does.
	All, Unix bool
	Prefix    netip.Prefix
}

func readAccess(l *level, n *node) {
	_, allowed := l.seen["allow"]
	if _, denied := l.seen["deny"]; !allowed && !denied {
		l.set.Access = nil
	}
	rule := AccessRule{Position: n.Position, Allow: n.name == "allow"}
	switch arg := n.args[0]; arg {
	case "all":
		rule.All = true
	case "unix:":
		rule.Unix = true
	default:
		prefix, ok := l.prefix(n, arg)
		if !ok {
			return
		}
		rule.Prefix = prefix
	}
	l.set.Access = append(l.set.Access, rule)
}

// prefix reads an address or a network in CIDR notation, where bits beyond the mask
// are dropped with a warning, as in nginx.
func (l *level) prefix(n *node, text string) (netip.Prefix, bool) {
	if addr, err := netip.ParseAddr(text); err == nil && addr.Zone() == "" {
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), true
	}
	prefix, err := netip.ParsePrefix(text)
	if err != nil || strings.Contains(text, "%") {
		l.invalid(n, text, "write an address, a network such as 10.0.0.0/8, unix: or all")
		return netip.Prefix{}, false
	}
	if masked := prefix.Masked(); masked != prefix {
		l.add(Warning, n.Position, "", "low address bits of %s are meaningless", text)
		prefix = masked
	}
	return prefix, true
}
