package route

// settings are what a session of the server has in common with a request: how its upstream
// is asked, and how its client is waited for.
func (s *StreamServer) settings() Settings {
	const clientMs = 60_000 // for the text of return
	set := Settings{
		ClientSendTimeout: clientMs, TCPNodelay: s.TCPNodelay, Policy: s.Policy, LingeringClose: LingeringOn,
		RealIP: s.RealIP,
	}
	if p := s.Proxy; p != nil {
		set.ConnectTimeout = p.ConnectTimeout
		set.NextUpstreamTries, set.NextUpstreamTimeout = p.NextUpstreamTries, p.NextUpstreamTimeout
		if p.NextUpstream {
			set.NextUpstream = NextOnError | NextOnTimeout
		}
	}
	return set
}
