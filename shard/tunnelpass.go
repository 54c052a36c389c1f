package shard

import (
	"net/netip"

	"holdfast/httpparse"
	"holdfast/observe"
	"holdfast/pool"
	"holdfast/route"
	"holdfast/upstream"
)

// startTunnelPass answers a CONNECT where the location makes tunnels of them (tunnel_pass).
func (sh *Shard) startTunnelPass(s *Session, r *Request) {
	t := r.location.TunnelPass
	if r.req.MethodID != httpparse.MethodConnect {
		sh.refuse(s, 405)
		return
	}
	if !r.up.ended {
		s.cause(observe.ReasonBadRequest, observe.SideClient)
		sh.logError(s, observe.LevelInfo, "client sent CONNECT with a body", nil)
		sh.refuse(s, 400)
		return
	}
	r.connect = true
	r.bind = t.Bind(&r.env)
	target, verdict := t.Target(&r.env)
	switch verdict {
	case route.TunnelGroup:
		r.group = r.snapshot.Groups[target.Group]
		sh.connectTunnel(s, r)
	case route.TunnelAddr:
		sh.connectTo(s, r, []netip.Addr{target.Addr.Addr()}, target.Addr.Port())
	case route.TunnelName:
		sh.resolveTunnel(s, r, target)
	default:
		sh.refuseTunnel(s, verdict)
	}
}

// tunnelRefusals has, for the verdicts against a CONNECT, the status and the log's text.
var tunnelRefusals = map[route.TunnelVerdict]struct {
	status int
	text   string
}{
	route.TunnelInvalid: {400, "CONNECT names no host and port"},
	route.TunnelPort:    {403, "CONNECT to a port that tunnel_allow_ports does not have"},
	route.TunnelHost:    {403, "CONNECT to a host that tunnel_allow_hosts does not have"},
	route.TunnelPrivate: {403, "CONNECT to an address that is not public (tunnel_allow_private)"},
}

func (sh *Shard) refuseTunnel(s *Session, verdict route.TunnelVerdict) {
	refusal := tunnelRefusals[verdict]
	s.cause(observe.ReasonRefused, observe.SideProxy)
	sh.logError(s, observe.LevelError, refusal.text, nil)
	sh.refuse(s, refusal.status)
}

// connectTunnel begins to connect to the request's group.
func (sh *Shard) connectTunnel(s *Session, r *Request) {
	r.env.UpstreamConnectMs, r.env.UpstreamHeaderMs, r.env.UpstreamResponseMs = -1, -1, -1
	r.passedMs = sh.nowMs
	sh.nextTry(s, r, nil)
}

// connectTo begins to connect to the first of the addresses that answers. Each is judged
// here, right before: what a name stands for may have changed since it was asked about.
func (sh *Shard) connectTo(s *Session, r *Request, addrs []netip.Addr, port uint16) {
	spec := upstream.GroupSpec{Name: ConnectGroup, KeepaliveTimeMs: adHocKeepaliveMs}
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

// ConnectGroup is the name in the metrics of all that clients asked for by CONNECT.
const ConnectGroup = "connect"

// resolveTunnel has the name of a CONNECT resolved. The session waits in Connect.
func (sh *Shard) resolveTunnel(s *Session, r *Request, target route.TunnelTarget) {
	index := r.location.TunnelPass.Resolver
	if index == 0 {
		s.cause(observe.ReasonRefused, observe.SideProxy)
		sh.logError(s, observe.LevelError, "no resolver defined to resolve", target.Host)
		sh.refuse(s, 502)
		return
	}
	h, request := sh.handle(s), s.requests
	name, port := string(target.Host), target.Port
	sh.setState(s, Connect)
	r.resolving = true
	sh.timers.Set(s.slot, sh.nowMs+r.settings().ConnectTimeout)
	ok := r.snapshot.Resolvers[index-1].Resolve(name, func(addrs []netip.Addr, status upstream.ResolveStatus) {
		sh.Post(func(sh *Shard) { sh.tunnelResolved(h, request, addrs, port, status) })
	})
	if !ok {
		sh.logError(s, observe.LevelError, "too many names are being resolved", nil)
		sh.refuse(s, 503)
	}
}

// tunnelResolved goes on with a CONNECT whose name was looked up, if the session still waits
// for that.
func (sh *Shard) tunnelResolved(
	h pool.Handle, request uint32, addrs []netip.Addr, port uint16, status upstream.ResolveStatus,
) {
	s := sh.sessions.Get(h)
	if s == nil || s.state != Connect || s.requests != request || !sh.cold(s).resolving {
		return
	}
	r := sh.cold(s)
	r.resolving = false
	switch status {
	case upstream.Resolved:
		sh.connectTo(s, r, addrs, port)
	case upstream.ResolveTimeout:
		sh.resolveFailed(s, 504, "a name timed out while being resolved")
	default:
		sh.resolveFailed(s, 502, "a name could not be resolved")
	}
	sh.advance(s)
}

func (sh *Shard) resolveFailed(s *Session, status int, text string) {
	s.cause(observe.ReasonConnectFailed, observe.SideUpstream)
	sh.logError(s, observe.LevelError, text, nil)
	sh.refuse(s, status)
}

// openConnect answers a CONNECT whose upstream is connected, and begins its tunnel (RFC 9110
// section 9.3.6).
func (sh *Shard) openConnect(s *Session, r *Request) {
	sh.setState(s, Switch)
	r.group.OK(r.peer)
	sh.begun(r, 200)
	sh.finishSwitch(s, r, append(sh.out[:0], "HTTP/1.1 200 Connection established\r\n\r\n"...))
}
