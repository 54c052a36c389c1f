package shard

import (
	"net/netip"

	"holdfast/httpparse"
	"holdfast/observe"
	"holdfast/route"
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
	if !sh.mayTunnel(s, r) {
		return
	}
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
	r.env.LeaveUpstream()
	r.passedMs = sh.nowMs
	sh.nextTry(s, r, nil)
}

// resolveTunnel has the name of a CONNECT resolved. The session waits in Connect.
func (sh *Shard) resolveTunnel(s *Session, r *Request, target route.TunnelTarget) {
	index := r.location.TunnelPass.Resolver
	if index == 0 {
		s.cause(observe.ReasonRefused, observe.SideProxy)
		sh.logError(s, observe.LevelError, "no resolver defined to resolve", target.Host)
		sh.refuse(s, 502)
		return
	}
	sh.awaitName(s, r, &nameWait{
		resolver: r.snapshot.Resolvers[index-1], name: string(target.Host), port: target.Port,
	}, r.settings().ConnectTimeout)
}

// openConnect answers a CONNECT whose upstream is connected, and begins its tunnel (RFC 9110
// section 9.3.6).
func (sh *Shard) openConnect(s *Session, r *Request) {
	sh.setState(s, Switch)
	r.group.OK(r.peer)
	sh.begun(r, 200)
	sh.finishSwitch(s, r, append(sh.out[:0], "HTTP/1.1 200 Connection established\r\n\r\n"...))
}
