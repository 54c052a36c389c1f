package route

import "net/netip"

// Access are the allow and deny rules of a level. It is immutable.
type Access struct{ rules []AccessRule }

// AccessRule is one allow or deny: of everybody, of unix-domain clients, or of a network.
type AccessRule struct {
	Allow     bool
	All, Unix bool
	Prefix    netip.Prefix
}

// NewAccess makes an Access of rules in the order written; nil if there are none.
func NewAccess(rules []AccessRule) *Access {
	if len(rules) == 0 {
		return nil
	}
	return &Access{rules: rules}
}

// Allows reports whether a client may come in: the first rule that matches decides, and
// without one it may. An address that is not valid is that of a unix-domain client.
func (a *Access) Allows(addr netip.Addr) bool {
	allowed, decided := a.Judge(addr)
	return allowed || !decided
}

// Judge is Allows for where other checks follow (satisfy): decided is false if no rule matches.
func (a *Access) Judge(addr netip.Addr) (allowed, decided bool) {
	if a == nil {
		return false, false
	}
	addr = addr.Unmap()
	for i := range a.rules {
		r := &a.rules[i]
		if r.All || r.Unix && !addr.IsValid() || r.Prefix.IsValid() && r.Prefix.Contains(addr) {
			return r.Allow, true
		}
	}
	return false, false
}
