package shard

import (
	"net/netip"
	"strconv"

	"holdfast/observe"
	"holdfast/pool"
	"holdfast/route"
	"holdfast/upstream"
)

// nameGraceMs is how much longer than the resolver may take its answer is waited for: only
// one that never comes would be missed.
const nameGraceMs = 5000

// landingsMax is how many sessions a turn lets go on whose names were resolved.
const landingsMax = 256

// nameWait is a session that waits for what a name stands for, and how it goes on then.
type nameWait struct {
	session  pool.Handle
	order    uint64 // Request.nameOrder
	resolver *upstream.Resolver
	key      string // of the ad hoc group: the name with its port
	name     string
	port     uint16
	secure   bool // the scheme of proxy_pass is https
}

// renderedGroup is the group of an address that proxy_pass rendered from variables, or of a
// name. It is nil where the name has to be resolved first, for which the session waits in
// Connect, or where the request came to nothing.
func (sh *Shard) renderedGroup(s *Session, r *Request, target *route.Endpoint, resolver int) *upstream.Group {
	var room [320]byte // beside the next call's key
	key := room[:0]
	var asked *upstream.Resolver
	if resolver > 0 {
		asked = r.snapshot.Resolvers[resolver-1]
		key = strconv.AppendInt(append(adHocKey(key, target), '#'), int64(resolver), 10)
		if known := sh.adHoc.get(key); known != nil && known.resolver == asked && sh.nowMs < known.untilMs {
			return known.group
		}
	}
	if g := sh.adHocGroup(target); g != nil {
		return g
	}
	port, ok := portOf(target.Port)
	switch {
	case len(target.Host) == 0 || target.Host[0] == '[':
		sh.nameRefused(s, r, "proxy_pass with variables gives no address to connect to:", target.Name)
		return nil
	case !ok: // of a stream: http has a port for each scheme
		sh.nameRefused(s, r, "no port in upstream", target.Name)
		return nil
	case resolver == 0:
		sh.nameRefused(s, r, "no resolver defined to resolve", target.Host)
		return nil
	}
	sh.awaitName(s, r, &nameWait{
		resolver: asked, key: string(key), name: string(target.Host), port: port, secure: target.TLS,
	}, asked.Timeout().Milliseconds()+nameGraceMs)
	return nil
}

// awaitName has a name resolved, for which the session waits in Connect.
func (sh *Shard) awaitName(s *Session, r *Request, w *nameWait, limitMs int64) {
	sh.orders++
	w.session, w.order = sh.handle(s), sh.orders
	if !w.resolver.Resolve(w.name, func(a upstream.Answer) {
		sh.Post(func(sh *Shard) { sh.landed(w, &a) })
	}) {
		sh.nameFailed(s, r, w.name, upstream.ResolveBusy)
		return
	}
	if s.state != Connect {
		sh.setState(s, Connect)
	}
	r.resolving, r.nameOrder = true, w.order
	r.wait = waitNone
	sh.timers.Set(s.slot, sh.nowMs+limitMs)
}

// landings are answers about names that wait for a turn: a storm of clients may have waited for
// one name.
type landings struct {
	turn    uint64 // the last one that served some
	served  int    // in that turn
	waiting []landing
	next    int // of waiting
}

type landing struct {
	wait   *nameWait
	answer *upstream.Answer
}

// landed serves an answer, or has it wait where a turn has served enough of them.
func (sh *Shard) landed(w *nameWait, a *upstream.Answer) {
	l := &sh.landings
	if turn := sh.counters.LoopTurns; l.turn != turn {
		l.turn, l.served = turn, 0
	}
	if len(l.waiting) == 0 && l.served < landingsMax {
		l.served++
		sh.named(w, a)
		return
	}
	if l.waiting = append(l.waiting, landing{w, a}); len(l.waiting) == 1 {
		sh.Post((*Shard).serveLandings)
	}
}

// serveLandings serves some of those that wait.
func (sh *Shard) serveLandings() {
	l := &sh.landings
	for range landingsMax {
		if l.next == len(l.waiting) {
			l.waiting, l.next = nil, 0
			return
		}
		one := l.waiting[l.next]
		l.waiting[l.next] = landing{}
		l.next++
		sh.named(one.wait, one.answer)
	}
	sh.Post((*Shard).serveLandings)
}

// named goes on with a session whose name was looked up, if it still waits for that.
func (sh *Shard) named(w *nameWait, a *upstream.Answer) {
	s := sh.sessions.Get(w.session)
	if s == nil || s.state != Connect || !sh.cold(s).resolving || sh.cold(s).nameOrder != w.order {
		return
	}
	r := sh.cold(s)
	r.resolving = false
	if a.Stale {
		sh.logName(s, observe.LevelWarn, w.name, a.Failure, staleText)
	}
	switch {
	case a.Status != upstream.Resolved:
		sh.nameFailed(s, r, w.name, a.Status)
	case r.connect:
		sh.connectTo(s, r, a.Addrs, w.port)
	default:
		if r.group = sh.namedGroup(w, a); r.group == nil {
			sh.nameFailed(s, r, w.name, upstream.ResolveNoName) // port 0
			break
		}
		r.named = true
		if r.stream != nil {
			sh.passStreamOn(s, r)
		} else {
			sh.passOn(s, r, w.secure)
		}
	}
	sh.advance(s)
}

// onNameTimer ends the wait for a name.
func (sh *Shard) onNameTimer(s *Session) {
	r := sh.cold(s)
	r.resolving = false
	sh.nameFailed(s, r, "a name", upstream.ResolveTimeout)
	sh.advance(s)
}

// nameFailed answers where a name could not be resolved: as nginx does, but for a CONNECT,
// whose client chose the name and learns that it took too long.
func (sh *Shard) nameFailed(s *Session, r *Request, name string, status upstream.ResolveStatus) {
	sh.logName(s, observe.LevelError, name, status, "")
	s.cause(observe.ReasonConnectFailed, observe.SideUpstream)
	r.upFailed = true
	switch {
	case r.stream != nil:
		sh.endStream(s, r, streamFailed)
	case status == upstream.ResolveBusy:
		sh.refuse(s, 503)
	case status == upstream.ResolveTimeout && r.connect:
		sh.refuse(s, 504)
	default:
		sh.refuse(s, 502)
	}
}

const staleText = "; its last answer is used"

// logName logs what came of a name, in nginx's words.
func (sh *Shard) logName(s *Session, level observe.Level, name string, status upstream.ResolveStatus, more string) {
	text := append(append(sh.words(), name...), " could not be resolved ("...)
	text = strconv.AppendInt(text, int64(status.Number()), 10)
	text = append(append(append(append(text, ": "...), status.String()...), ')'), more...)
	sh.logText(s, level, "a name could not be resolved", text)
}

// nameRefused ends a request whose proxy_pass leads nowhere.
func (sh *Shard) nameRefused(s *Session, r *Request, text string, detail []byte) {
	s.cause(observe.ReasonRefused, observe.SideProxy)
	sh.logError(s, observe.LevelError, text, detail)
	if r.stream != nil {
		sh.endStream(s, r, streamFailed)
		return
	}
	sh.refuse(s, 502)
}

// ConnectGroup is the name in the metrics of all that clients asked for by CONNECT.
const ConnectGroup = "connect"

// connectTo begins to connect to the first of the addresses that answers. Each is judged
// here, right before: what a name stands for may have changed since it was asked about.
func (sh *Shard) connectTo(s *Session, r *Request, addrs []netip.Addr, port uint16) {
	spec := upstream.GroupSpec{Name: ConnectGroup, Number: -1, KeepaliveTimeMs: adHocKeepaliveMs}
	for _, a := range addrs {
		if to := netip.AddrPortFrom(a, port); r.location.TunnelPass.AllowAddr(a) {
			spec.Servers = append(spec.Servers, upstream.ServerSpec{Name: to.String(), Addr: to, Weight: 1})
		}
	}
	if len(spec.Servers) == 0 {
		sh.refuseTunnel(s, route.TunnelPrivate)
		return
	}
	group, err := upstream.NewGroup(sh.opt.Peers, spec)
	if err != nil {
		sh.logError(s, observe.LevelError, "CONNECT to what can't be connected to:", []byte(err.Error()))
		sh.refuse(s, 502)
		return
	}
	r.group = group
	sh.connectTunnel(s, r)
}
