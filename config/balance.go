package config

import (
	"slices"
	"strings"
)

// Method is how an upstream chooses a server.
type Method uint8

// The methods, by their directives.
const (
	RoundRobin     Method = iota // none of the others
	LeastConn                    // least_conn
	LeastTime                    // least_time
	IPHash                       // ip_hash
	Hash                         // hash
	ConsistentHash               // hash … consistent
	Random                       // random
	RandomTwo                    // random two
)

// BalanceBy is what LeastTime and RandomTwo compare.
type BalanceBy uint8

// What is compared.
const (
	ByConns    BalanceBy = iota // requests in progress and tunnels
	ByHeader                    // the time to an answer's head; in stream, to connect
	ByLastByte                  // the time to an answer's last byte
)

// Balance is the balancing method of an upstream.
type Balance struct {
	// Position is that of the method's directive.
	Position
	Method Method
	// Key is that of hash, with variables.
	Key string
	By  BalanceBy
	// Inflight counts answers that are outstanding.
	Inflight bool
}

// hashes says whether the method takes the server that something else says, so that neither
// backups nor recovering servers fit in.
func (b *Balance) hashes() bool { return b.Method >= IPHash }

func readLeastConn(l *level, n *node) { l.balance(n, Balance{Method: LeastConn}) }

func readIPHash(l *level, n *node) { l.balance(n, Balance{Method: IPHash}) }

func readHash(l *level, n *node) {
	b := Balance{Method: Hash, Key: n.args[0]}
	if len(n.args) == 2 {
		if n.args[1] != "consistent" {
			l.invalidParameter(n, n.args[1], "write consistent, or nothing")
			return
		}
		b.Method = ConsistentHash
	}
	l.text(n.Position, n.name, b.Key)
	l.balance(n, b)
}

func readRandom(l *level, n *node) {
	b := Balance{Method: Random}
	if len(n.args) > 0 {
		b.Method = RandomTwo
		if n.args[0] != "two" {
			l.invalidParameter(n, n.args[0], "write two, or nothing")
			return
		}
	}
	if len(n.args) == 2 {
		by, isTime := strings.CutPrefix(n.args[1], "least_time=")
		var ok bool
		if b.By, ok = l.timeOf(by); !isTime && n.args[1] == "least_conn" {
			b.By = ByConns
		} else if !isTime || !ok {
			l.invalidParameter(n, n.args[1], "write least_conn"+l.timesOf(" or least_time="))
			return
		}
	}
	l.balance(n, b)
}

func readLeastTime(l *level, n *node) {
	b := Balance{Method: LeastTime}
	var ok bool
	if b.By, ok = l.timeOf(n.args[0]); !ok {
		l.invalidParameter(n, n.args[0], "write"+strings.TrimPrefix(l.timesOf(" or "), " or"))
		return
	}
	if len(n.args) == 2 {
		if b.Inflight = n.args[1] == "inflight"; !b.Inflight {
			l.invalidParameter(n, n.args[1], "write inflight, or nothing")
			return
		}
	}
	l.balance(n, b)
}

// timeOf reads which time least_time goes by.
func (l *level) timeOf(arg string) (by BalanceBy, ok bool) {
	switch {
	case l.ctx == CtxStreamUpstream:
		return ByHeader, arg == "connect"
	case arg == "header":
		return ByHeader, true
	}
	return ByLastByte, arg == "last_byte"
}

// timesOf lists what timeOf reads, each behind before.
func (l *level) timesOf(before string) string {
	if l.ctx == CtxStreamUpstream {
		return before + "connect (what comes later on a stream is not timed)"
	}
	return before + "header" + before + "last_byte"
}

func (l *level) invalidParameter(n *node, arg, hint string) {
	l.refused = true
	l.add(Error, n.Position, hint, "invalid parameter %q in %q directive", arg, n.name)
}

// balance sets the method of the upstream. As in nginx the last one holds.
func (l *level) balance(n *node, b Balance) {
	u := l.upstream
	b.Position = n.Position
	keepalive, isKept := l.seen["keepalive"]
	switch {
	case u.Balance.Method != RoundRobin:
		l.add(Warning, n.Position, "remove one; the one before is at "+u.Balance.Position.String(),
			"load balancing method redefined")
	case isKept:
		l.add(Warning, n.Position, "nginx would not keep connections: write it above the keepalive at "+keepalive.String(),
			"load balancing method below \"keepalive\"")
	}
	u.Balance = b
}

// checkSlowStart refuses slow_start with the methods that have no use for it.
func (l *level) checkSlowStart(u *Upstream) {
	if !u.Balance.hashes() {
		return
	}
	for _, s := range u.Servers {
		if s.SlowStart > 0 {
			l.add(Error, s.Position, "remove it, or the method at "+u.Balance.Position.String(),
				"balancing method does not support parameter \"slow_start\"")
		}
	}
}

// zoneMin is the smallest zone that nginx takes: eight pages.
const zoneMin = 32 << 10

// readZone reads what nginx needs to share an upstream's state among its processes.
func readZone(l *level, n *node) {
	if n.args[0] == "" {
		l.add(Error, n.Position, "write the name of the zone", "invalid zone name %q", n.args[0])
		return
	}
	if len(n.args) == 1 {
		return
	}
	switch size, ok := parseSize(n.args[1]); {
	case !ok:
		l.add(Error, n.Position, hintSize, "invalid zone size %q", n.args[1])
	case size < zoneMin:
		l.add(Error, n.Position, "write at least 32k", "zone %q is too small", n.args[0])
	}
}

// httpOnly are the parameters of server that stream does not have.
var httpOnly = []string{"drain", "route"}

// serverWords are the parameters of server, as one writes them.
var serverWords = []string{
	"weight=", "max_conns=", "max_fails=", "fail_timeout=", "slow_start=", "backup", "down", "drain", "resolve", "route=",
	"service=",
}

// upstreamParameter reads one parameter of server.
func (l *level) upstreamParameter(s *UpstreamServer, n *node, arg string) (ok bool) {
	name, value, hasValue := strings.Cut(arg, "=")
	hint := suggest(name, serverWords, "write "+strings.Join(serverWords, ", "))
	switch {
	case arg == "backup" && l.upstream.Balance.hashes():
		l.add(Error, n.Position, "remove it, or the method at "+l.upstream.Balance.Position.String(),
			"balancing method does not support parameter \"backup\"")
		return false
	case slices.Contains(httpOnly, name) && l.ctx == CtxStreamUpstream:
		hint = "it is for http only: a stream is not bound to a server; remove it"
	case name == "id", name == "sid":
		l.add(Error, n.Position, "it is not in this version; remove it", "%q of \"server\" is not supported", name)
		return false
	case !hasValue:
		ok = s.flag(arg)
	default:
		hint, ok = s.value(name, value, hint)
	}
	if !ok {
		l.add(Error, n.Position, hint, "invalid parameter %q", arg)
	}
	return ok
}

// flag sets a parameter without a value.
func (s *UpstreamServer) flag(name string) (known bool) {
	flag, known := map[string]*bool{
		"down": &s.Down, "backup": &s.Backup, "drain": &s.Drain, "resolve": &s.Resolve,
	}[name]
	if known {
		*flag = true
	}
	return known
}

// weightMax bounds the weight of one server.
const weightMax = 1 << 20

// value sets a parameter with a value; hint is for a name that is unknown, and then comes back.
func (s *UpstreamServer) value(name, value, hint string) (string, bool) {
	ok := false
	switch name {
	case "weight":
		hint = "write a number from 1 to 1048576"
		s.Weight, ok = parseInt(value, 1)
		ok = ok && s.Weight <= weightMax
	case "max_conns":
		hint = "write a number; 0 means no limit"
		s.MaxConns, ok = parseInt(value, 0)
	case "max_fails":
		hint = hintNumber
		s.MaxFails, ok = parseInt(value, 0)
	case "fail_timeout":
		hint = "write a time in seconds such as 30s"
		s.FailTimeout, ok = parseSeconds(value)
	case "slow_start":
		hint = "write a time in seconds such as 30s"
		s.SlowStart, ok = parseSeconds(value)
	case "route":
		hint = "write what cookies and URLs call the server: up to 32 letters and digits"
		s.Route, ok = value, validRoute(value)
	case "service":
		hint = "write the name of a service, such as http"
		s.Service, ok = value, value != ""
	}
	return hint, ok
}
