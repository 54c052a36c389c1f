package route

import (
	"bytes"
	"net/netip"
	"strconv"

	"holdfast/httpparse"
)

// TunnelPass is a compiled tunnel_pass with the rules about what a CONNECT may ask for. It
// is immutable.
type TunnelPass struct {
	// Resolver is 1 + the index of the resolver for names, 0: there is none.
	Resolver int

	group   int // of a tunnel_pass without variables; -1 if it has some
	target  Template
	groups  map[string]int
	ports   []PortRange
	hosts   hostnames[struct{}]
	regexes []*regex
	anyHost bool
	private bool
	bind    localAddr
}

// PortRange is a range of ports, both ends included.
type PortRange struct{ Low, High uint16 }

// TunnelPassSpec is a tunnel_pass and what belongs to it, for Compiler.NewTunnelPass.
type TunnelPassSpec struct {
	// Target is the argument, with variables; Group is meant instead if it has none.
	Target string
	Group  int
	// Groups are the upstream blocks that variables may yield the name of, by their index.
	Groups map[string]int
	// Ports and Hosts are those of tunnel_allow_ports and tunnel_allow_hosts; no host: any.
	Ports []PortRange
	Hosts []ServerName
	// AllowPrivate is tunnel_allow_private.
	AllowPrivate bool
	// Bind is the argument of tunnel_bind; empty for none.
	Bind string
	// Resolver is 1 + the index of the resolver for names, 0: none.
	Resolver int
}

// TunnelVerdict says whether a CONNECT may go on, and how.
type TunnelVerdict uint8

// The verdicts.
const (
	TunnelGroup   TunnelVerdict = iota // to the group
	TunnelAddr                         // to the address
	TunnelName                         // to what the name resolves to, each address judged by AllowAddr
	TunnelInvalid                      // what the variables yield is nothing to connect to
	TunnelPort                         // refused: the port is not among tunnel_allow_ports
	TunnelHost                         // refused: the host is not among tunnel_allow_hosts
	TunnelPrivate                      // refused: the address is not for the public
)

// TunnelTarget is where a CONNECT goes. Host lives until the Env's Reset.
type TunnelTarget struct {
	Group int            // for TunnelGroup
	Addr  netip.AddrPort // for TunnelAddr
	Host  []byte         // for TunnelName: in lower case, without a dot at its end
	Port  uint16         // for TunnelName
}

// NewTunnelPass compiles spec. The error is a *CompileError.
func (c *Compiler) NewTunnelPass(spec *TunnelPassSpec) (*TunnelPass, error) {
	t := &TunnelPass{
		Resolver: spec.Resolver, group: -1, groups: spec.Groups, ports: spec.Ports, private: spec.AllowPrivate,
		anyHost: len(spec.Hosts) == 0,
	}
	var err error
	if t.target, err = c.Compile(spec.Target); err != nil {
		return nil, err
	}
	if _, constant := t.target.Const(); constant {
		t.group = spec.Group
	}
	for _, h := range spec.Hosts {
		if h.Regexp == "" {
			t.hosts.add(h.Text, struct{}{}) // a name that is there already changes nothing
			continue
		}
		re, err := c.regex(h.Regexp)
		if err != nil {
			return nil, err
		}
		t.regexes = append(t.regexes, re)
	}
	t.bind, err = c.localAddr(spec.Bind, "tunnel_bind")
	return t, err
}

// Target judges what the CONNECT of e asks for, and says where it goes. Call it once a
// request, after SetHost and when e.Location is known.
func (t *TunnelPass) Target(e *Env) (target TunnelTarget, verdict TunnelVerdict) {
	host, port, ok := splitTarget(e.Req.Target.Of(e.Head))
	if !ok {
		return target, TunnelInvalid
	}
	if verdict := t.allow(e, host, port); verdict != TunnelAddr {
		return target, verdict
	}
	if t.group >= 0 {
		target.Group = t.group
		return target, TunnelGroup
	}
	text := e.render(t.target)
	if group, found := t.groups[string(text)]; found {
		target.Group = group
		return target, TunnelGroup
	}
	if host, port, ok = splitTarget(text); !ok {
		return target, TunnelInvalid
	}
	// Variables may lead elsewhere than the client asked.
	if verdict := t.allow(e, host, port); verdict != TunnelAddr {
		return target, verdict
	}
	if addr, isAddr := parseHostAddr(host); isAddr {
		if !t.AllowAddr(addr) {
			return target, TunnelPrivate
		}
		target.Addr = netip.AddrPortFrom(addr, port)
		return target, TunnelAddr
	}
	target.Host, target.Port = trimDot(lower(e.keep(host))), port
	return target, TunnelName
}

// splitTarget takes apart host:port, of which nothing may be missing (RFC 9110 section
// 9.3.6).
func splitTarget(text []byte) (host []byte, port uint16, ok bool) {
	host, digits, err := httpparse.ParseHost(text)
	if err != httpparse.OK || bytes.IndexByte(host, '%') >= 0 || len(digits) == 0 || len(digits) > 5 {
		return nil, 0, false
	}
	number := 0
	for _, c := range digits {
		number = 10*number + int(c-'0')
	}
	return host, uint16(number), number > 0 && number <= 65535
}

// parseHostAddr reads an address as a URI has it: IPv6 in brackets.
func parseHostAddr(host []byte) (netip.Addr, bool) {
	const longest = 48
	if len(host) > longest {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(string(bytes.Trim(host, "[]")))
	return addr, err == nil && addr.Zone() == ""
}

func trimDot(host []byte) []byte { return bytes.TrimSuffix(host, []byte(".")) }

// allow judges a port and a host. TunnelAddr stands for yes.
func (t *TunnelPass) allow(e *Env, host []byte, port uint16) TunnelVerdict {
	if !t.AllowPort(port) {
		return TunnelPort
	}
	if !t.anyHost && !t.hostListed(e, trimDot(lower(e.keep(host)))) {
		return TunnelHost
	}
	return TunnelAddr
}

// AllowPort reports whether a CONNECT may ask for the port.
func (t *TunnelPass) AllowPort(port uint16) bool {
	for _, r := range t.ports {
		if r.Low <= port && port <= r.High {
			return true
		}
	}
	return false
}

func (t *TunnelPass) hostListed(e *Env, host []byte) bool {
	if _, found := t.hosts.find(host); found {
		return true
	}
	for _, re := range t.regexes {
		if re.match(e, host) {
			return true
		}
	}
	return false
}

// AllowAddr reports whether a tunnel may go to the address: ask right before connecting,
// about what is connected to, so that a name can't change in between.
func (t *TunnelPass) AllowAddr(addr netip.Addr) bool {
	return addr.IsValid() && (t.private || IsPublic(addr))
}

// Bind is the local address of the connection, with port 0 for any; not valid for any
// address (tunnel_bind).
func (t *TunnelPass) Bind(e *Env) netip.AddrPort { return t.bind.value(e) }

// reserved are the networks that are not for the public (IANA's registries of special
// purpose addresses, RFC 6890 and later), among them those whose addresses have another
// inside and would be a way around: NAT64, 6to4, Teredo, IPv4-mapped and -compatible.
var reserved = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
	"192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
	"224.0.0.0/3",
	"::/96", "::ffff:0:0/96", "::ffff:0:0:0/96", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23",
	"2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16", "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
)

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

// IsPublic reports whether an address is one of the public Internet.
func IsPublic(addr netip.Addr) bool {
	if addr.Zone() != "" || addr.Is4In6() { // netip matches no prefix against these
		return false
	}
	for i := range reserved {
		if reserved[i].Contains(addr) {
			return false
		}
	}
	return addr.IsValid()
}

// varRequestPort is the port that the request names: in the target of CONNECT or of
// absolute-form, else in Host.
func varRequestPort(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	port := e.requestPort()
	return append(dst, port...), len(port) > 0
}

func varIsRequestPort(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	if len(e.requestPort()) > 0 {
		dst = append(dst, ':')
	}
	return dst, true
}

func (e *Env) requestPort() []byte {
	if e.Req == nil {
		return nil
	}
	authority := e.authority
	switch {
	case len(authority) > 0:
	case e.Req.MethodID == httpparse.MethodConnect:
		authority = e.Req.Target.Of(e.Head)
	default:
		authority, _ = e.Req.Find(e.Head, httpparse.FieldHost)
	}
	_, port, err := httpparse.ParseHost(authority)
	if err != httpparse.OK {
		return nil
	}
	return port
}

// localAddr is the address that a directive such as proxy_bind names.
type localAddr struct {
	constant netip.AddrPort
	text     Template
	dynamic  bool
}

func (c *Compiler) localAddr(text, directive string) (localAddr, error) {
	t, err := c.Compile(text)
	if err != nil || text == "" {
		return localAddr{}, err
	}
	constant, isConstant := t.Const()
	if !isConstant {
		return localAddr{text: t, dynamic: true}, nil
	}
	addr, ok := parseBind([]byte(constant))
	if !ok {
		return localAddr{}, &CompileError{Text: "invalid address " + strconv.Quote(text) + " in " + directive}
	}
	return localAddr{constant: addr}, nil
}

// value is the address for e. As in nginx, a text that yields none binds nothing.
func (l *localAddr) value(e *Env) netip.AddrPort {
	if !l.dynamic {
		return l.constant
	}
	buf := l.text.Append(e.borrow(), e)
	addr, _ := parseBind(buf)
	e.giveBack(buf)
	return addr
}
