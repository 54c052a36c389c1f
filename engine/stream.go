package engine

import (
	"errors"

	"holdfast/config"
	"holdfast/route"
	"holdfast/shard"
)

// streamGroup is what the name of a stream's group begins with, so that its peers are not
// those of a group of http with the same name.
const streamGroup = "stream/"

// newStreamCompiler knows the variables of the stream context.
func newStreamCompiler(cfg *config.Config, p route.Process) *route.Compiler {
	return route.NewStreamCompiler(p, cfg.Stream.CaptureNames, cfg.Stream.SetNames)
}

// CheckStreamText is CheckText for texts of the stream context.
func CheckStreamText(names []string) func(text string) error {
	c := route.NewStreamCompiler(route.Process{}, names, nil)
	return func(text string) error {
		_, err := c.Compile(text)
		return err
	}
}

// streamServers compiles the servers of stream into the table of all servers.
func (b *builder) streamServers(table *route.Builder) {
	for _, s := range b.cfg.Stream.Servers {
		compiled := b.streamServer(s)
		var names []route.ServerName
		for _, n := range s.Names {
			names = append(names, route.ServerName{Text: n.Text, Regexp: n.Regexp})
		}
		var uses []route.ListenUse
		for _, l := range s.Listeners {
			uses = append(uses, route.ListenUse{Listen: b.listens[l], Default: l.Default == s})
			if l.Default == s {
				b.sn.Listeners[b.listens[l]].Stream = compiled
			}
		}
		if err := table.AddStreamServer(b.stream, names, uses, compiled); err != nil {
			b.fail(s.Position, err)
		}
	}
}

func (b *builder) streamServer(s *config.Server) *route.StreamServer {
	set := &s.Settings
	r := &route.StreamServer{
		Access: route.NewAccess(accessRules(set.Access)), Limits: b.limits(b.stream, &set.Limits, true),
		Preread: set.Stream.Preread, PrereadBufferSize: int(set.Stream.PrereadBufferSize),
		PrereadTimeout: ms(set.Stream.PrereadTimeout), TCPNodelay: set.TCPNodelay,
		Policy: b.streamPolicy(s), RealIP: b.realIP(&set.RealIP, ""),
	}
	for _, v := range s.Stream.Sets {
		if err := b.stream.NewStreamSet(r, route.SetSpec{Name: v.Name, Value: v.Value}); err != nil {
			b.fail(v.Position, err)
		}
	}
	for _, l := range set.AccessLogs {
		r.Logs = append(r.Logs, route.StreamLogRef{
			File: b.logFile(logTarget{LogTarget: l.LogTarget}), Log: b.streamLog(l.Format), If: b.condition(b.stream, &l),
		})
	}
	if ret := s.Stream.Return; ret != nil {
		text, err := b.stream.Compile(ret.Text)
		if err != nil {
			b.fail(ret.Position, err)
		}
		r.Return = &text
	}
	if pass := s.Stream.ProxyPass; pass != nil {
		r.Proxy = b.streamProxy(pass, set)
	}
	return r
}

func (b *builder) streamProxy(pass *config.ProxyPass, set *config.Settings) *route.StreamProxy {
	st := &set.Stream
	proxy := route.StreamProxy{
		ConnectTimeout: ms(set.Proxy.ConnectTimeout), Timeout: ms(st.ProxyTimeout),
		NextUpstream: st.NextUpstream, NextUpstreamTries: int32(set.Proxy.NextUpstreamTries),
		NextUpstreamTimeout: ms(set.Proxy.NextUpstreamTimeout), HalfClose: st.HalfClose,
		SocketKeepalive: set.Proxy.SocketKeepalive, ProxyProtocol: st.ProxyProtocol,
	}
	if pass.Upstream != nil {
		proxy.Group = b.groups[pass.Upstream]
	}
	proxy.TLS = b.streamTLS(pass, set)
	proxy.Resolver = b.resolver(&set.Resolver)
	spec := route.StreamProxySpec{
		Target: pass.Text, Dynamic: pass.Variables, Bind: st.Bind.Addrs, BindTransparent: st.Bind.Transparent,
		Download: st.DownloadRate.Text, Upload: st.UploadRate.Text,
	}
	compiled, err := b.stream.NewStreamProxy(&spec, proxy)
	if err != nil {
		b.fail(b.streamBad(pass, st), err)
	}
	return compiled
}

// streamBad is where the text stands that does not compile.
func (b *builder) streamBad(pass *config.ProxyPass, st *config.StreamSettings) config.Position {
	for _, addr := range st.Bind.Addrs {
		if _, err := b.stream.Compile(addr); err != nil {
			return st.Bind.Position
		}
	}
	for _, t := range []config.Text{st.DownloadRate, st.UploadRate} {
		if _, err := b.stream.Compile(t.Text); err != nil {
			return t.Position
		}
	}
	return pass.Position
}

func (b *builder) streamLog(f *config.LogFormat) *route.StreamLog {
	if done := b.streamLogs[f]; done != nil {
		return done
	}
	compiled, err := b.stream.NewStreamLog(f.Text, escapes[f.Escape])
	if err != nil {
		b.fail(f.Position, err)
		return nil
	}
	b.streamLogs[f] = compiled
	return compiled
}

// streamPolicy interns what of a server holds for as long as its sessions.
func (b *builder) streamPolicy(s *config.Server) uint16 {
	set := &s.Settings
	p := shard.Policy{
		TunnelReadMs:    ms(set.Stream.ProxyTimeout),
		TunnelBlockedMs: ms(set.TunnelSendTimeout),
		LingerMs:        ms(set.LingeringTime),
		LingerReadMs:    ms(set.LingeringTimeout),
		DeadPeers:       set.Proxy.SocketKeepalive,
		EndsAtFin:       !set.Stream.HalfClose,
		Errors:          b.errorTargets(set.ErrorLogs),
	}
	lifetime(&p, &set.TunnelLimits)
	id, ok := b.policies.Intern(p)
	if !ok {
		b.fail(s.Position, errors.New("more than 65,536 different sets of tunnel settings have been in use since the start"))
	}
	return id
}

func accessRules(rules []config.AccessRule) (compiled []route.AccessRule) {
	for _, r := range rules {
		compiled = append(compiled, route.AccessRule{Allow: r.Allow, All: r.All, Unix: r.Unix, Prefix: r.Prefix})
	}
	return compiled
}
