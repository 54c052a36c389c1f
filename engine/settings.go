package engine

import (
	"errors"
	"fmt"

	"holdfast/config"
	"holdfast/route"
	"holdfast/shard"
)

// settings translates the values of one level. Where config and route name a value
// differently, the reason is that route counts in milliseconds.
func (b *builder) settings(s *config.Settings, at config.Position) route.Settings {
	p := &s.Proxy
	r := route.Settings{
		ClientHeaderTimeout:    ms(s.ClientHeaderTimeout),
		ClientBodyTimeout:      ms(s.ClientBodyTimeout),
		ClientSendTimeout:      ms(s.SendTimeout),
		ClientHeaderBufferSize: s.ClientHeaderBufferSize,
		LargeHeaderBuffers: route.Buffers{
			Count: int32(s.LargeClientHeaderBuffers.Count), Size: s.LargeClientHeaderBuffers.Size,
		},
		ClientMaxBodySize:    s.ClientMaxBodySize,
		KeepaliveTimeout:     ms(s.KeepaliveTimeout),
		KeepaliveHeaderSec:   ms(s.KeepaliveHeader) / 1000,
		KeepaliveRequests:    s.KeepaliveRequests,
		KeepaliveTime:        ms(s.KeepaliveTime),
		LingeringClose:       route.LingeringClose(s.LingeringClose),
		LingeringTime:        ms(s.LingeringTime),
		LingeringTimeout:     ms(s.LingeringTimeout),
		ConnectTimeout:       ms(p.ConnectTimeout),
		SendTimeout:          ms(p.SendTimeout),
		ReadTimeout:          ms(p.ReadTimeout),
		NextUpstreamTimeout:  ms(p.NextUpstreamTimeout),
		NextUpstreamTries:    int32(p.NextUpstreamTries),
		NextUpstream:         route.NextUpstream(p.NextUpstream),
		TunnelBlockedTimeout: ms(s.TunnelSendTimeout),
		TCPNodelay:           s.TCPNodelay,
		ProxySocketKeepalive: p.SocketKeepalive,
		MergeSlashes:         s.MergeSlashes,
		UnderscoresInHeaders: s.UnderscoresInHeaders,
		IgnoreInvalidHeaders: s.IgnoreInvalidHeaders,
		MaxHeaders:           int32(s.MaxHeaders),
		KeepaliveMinTimeout:  ms(s.KeepaliveMinTimeout),
		ResetTimedout:        s.ResetTimedout,
		RequestBuffering:     p.RequestBuffering,
		ClientBodyBufferSize: s.ClientBodyBufferSize,
		Buffering:            p.Buffering,
		BuffersSize:          p.BuffersSize,
		WebsocketStrict:      s.WebsocketStrict,
		Resolver:             int32(b.resolver(&s.Resolver)),
		TunnelFrames:         s.TunnelFrames,
		PassTrailers:         p.PassTrailers,
		RealIP:               b.realIP(&s.RealIP, s.RealIP.Header),
	}
	r.SSLVerifyClient, r.SSLVerifyRules = uint8(s.SSL.VerifyClient), b.verifyRules(&s.SSL)
	b.answers(&r, s)
	answerForm(&r, s)
	r.Trailers = b.trailers(s)
	r.RewriteLog = s.RewriteLog
	r.Auth = b.auth(&s.Auth)
	b.rules(&r, s)
	r.Limits = b.limits(b.compiler, &s.Limits, false)
	b.tunnelLimits(&r, &s.TunnelLimits)
	if p.ReadTimeoutSet {
		r.TunnelReadTimeout = r.ReadTimeout
	}
	if p.SendTimeoutSet {
		r.TunnelSendTimeout = r.SendTimeout
	}
	b.logs(&r, s)
	r.Policy = b.policy(&r, s, at)
	return r
}

// policy interns what of the settings outlives a request.
func (b *builder) policy(r *route.Settings, s *config.Settings, at config.Position) uint16 {
	p := shard.Policy{
		TunnelReadMs:    r.TunnelReadTimeout,
		TunnelBlockedMs: r.TunnelBlockedTimeout,
		LingerMs:        r.LingeringTime,
		LingerReadMs:    r.LingeringTimeout,
		KeepaliveMinMs:  r.KeepaliveMinTimeout,
		DeadPeers:       r.ProxySocketKeepalive,
		Errors:          b.errorTargets(s.ErrorLogs),
		TunnelCount:     r.TunnelCount,
	}
	lifetime(&p, &s.TunnelLimits)
	if r.TunnelSendTimeout > 0 {
		p.TunnelBlockedMs = r.TunnelSendTimeout
	}
	for _, i := range r.TunnelLogs {
		if !p.Logs.Add(i) {
			b.fail(at, fmt.Errorf("more than %d log files get the line at a tunnel's close", len(p.Logs)))
			return 0
		}
	}
	id, ok := b.policies.Intern(p)
	if !ok {
		b.fail(at, errors.New("more than 65,536 different sets of tunnel settings have been in use since the start"))
	}
	return id
}
