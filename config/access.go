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

// accessDirectives are the rows about which clients may come in.
func accessDirectives() []Directive {
	const places, args = ctxAll | CtxLimitExcept | ctxStreams, "address | network | unix: | all"
	return []Directive{
		{
			Name: "allow", Contexts: places, Args: args, min: 1, max: 1, repeat: true, read: readAccess,
			Doc: "Lets clients in: the first rule that matches decides.",
		},
		{
			Name: "deny", Contexts: places, Args: args, min: 1, max: 1, repeat: true, read: readAccess,
			Doc: "Keeps clients out, in http with a 403; in stream their connections are closed. The first rule that " +
				"matches decides.",
		},
		{
			Name: "satisfy", Contexts: ctxAll, Args: "all | any", Default: "all",
			Doc: "Whether a client has to be admitted by all of allow and deny, auth_basic and auth_request, or by any.",
			min: 1, max: 1, read: readSatisfy,
		},
		{
			Name: "limit_except", Contexts: CtxLocation, Args: "method ... { ... }",
			Doc:       "Settings for requests of the location with other methods than these. GET includes HEAD.",
			Deviation: "CONNECT may be named, too.",
			min:       1, max: -1, form: block, phase: phaseDescend, read: readLimitExcept,
		},
	}
}

func readSatisfy(l *level, n *node) {
	switch strings.ToLower(n.args[0]) {
	case "all":
		l.set.SatisfyAny = false
	case "any":
		l.set.SatisfyAny = true
	default:
		l.invalid(n, n.args[0], "write all or any")
	}
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
		hint := "write an address, a network such as 10.0.0.0/8, unix: or all"
		if n.name == "set_real_ip_from" {
			hint = "write an address, a network such as 10.0.0.0/8, or unix:"
		}
		l.invalid(n, text, hint)
		return netip.Prefix{}, false
	}
	if masked := prefix.Masked(); masked != prefix {
		l.add(Warning, n.Position, "", "low address bits of %s are meaningless", text)
		prefix = masked
	}
	return prefix, true
}
