package config

import (
	"slices"
	"time"
)

// tunnelDirectives are the rows about CONNECT.
func tunnelDirectives() []Directive {
	all := []Directive{
		{
			Name: "tunnel_pass", Contexts: CtxServer | CtxLocation, Args: "[address]", Default: "",
			Doc: "Makes tunnels of CONNECT requests: to what the request asks for ($host:$request_port), or to the " +
				"address or upstream named here. Other requests get a 405.",
			Deviation: "A CONNECT has the path /. Which ports, hosts and addresses may be asked for is limited by " +
				"tunnel_allow_ports, tunnel_allow_hosts and tunnel_allow_private, also without a word about them.",
			min: 0, max: 1, read: readTunnelPass,
		},
		{
			Name: "tunnel_allow_ports", Contexts: ctxAll, Args: "port | port-port | all ...", Default: "443",
			Doc:       "The ports that a CONNECT may ask for. A level with any inherits none from outside. Else: 403.",
			Deviation: "Not in nginx.",
			min:       1, max: -1, repeat: true, read: readAllowPorts,
		},
		{
			Name: "tunnel_allow_hosts", Contexts: ctxAll, Args: "name ...",
			Doc: "The hosts that a CONNECT may ask for: exact, *.example.com, example.*, .example.com, ~regex or an " +
				"address. A level with any inherits none from outside. Without: any. Else: 403.",
			Deviation: "Not in nginx.",
			min:       1, max: -1, repeat: true, read: readAllowHosts,
		},
		{
			Name: "tunnel_allow_private", Contexts: ctxAll, Args: "on | off", Default: "off",
			Doc: "Lets a CONNECT reach addresses that are not for the public: loopback, private, link-local, shared, " +
				"multicast, reserved. The address is judged right before it is connected to. One that tunnel_pass or an " +
				"upstream block names may always be reached.",
			Deviation: "Not in nginx, which reaches every address.",
			min:       1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.Tunnel.AllowPrivate }),
		},
	}
	return slices.Concat(all, tunnelUpstreamDirectives(), rows(NoEffect, []group{
		{ctxAll, "a shard has one buffer for all its tunnels", `tunnel_buffer_size tunnel_send_lowat`},
	}), rows(Refused, []group{
		{ctxAll, "use tunnel_allow_ports, tunnel_allow_hosts and tunnel_allow_private", `tunnel_allow_upstream`},
		{ctxAll, hintLater, `tunnel_bind_dynamic`},
	}))
}

// tunnelUpstreamDirectives are the rows about the connection that a CONNECT asks for.
func tunnelUpstreamDirectives() []Directive {
	return []Directive{
		{
			Name: "tunnel_connect_timeout", Contexts: ctxAll, Args: "time", Default: "60s",
			Doc: "How long one try to connect for a CONNECT may take.",
			min: 1, max: 1, read: duration(func(s *Settings) *time.Duration { return &s.Tunnel.ConnectTimeout }),
		},
		{
			Name: "tunnel_read_timeout", Contexts: ctxAll, Args: "time", Default: "none",
			Doc:       "How long the tunnel of a CONNECT may be silent.",
			Deviation: "The default is none, in nginx 60s: dead peers are found by the kernel.",
			min:       1, max: 1, read: readTunnelReadTimeout,
		},
		{
			Name: "tunnel_next_upstream", Contexts: ctxAll, Args: "error | timeout | off ...", Default: "error timeout",
			Doc: "After which failures to connect for a CONNECT the next address is tried.",
			min: 1, max: -1, read: readTunnelNextUpstream,
		},
		{
			Name: "tunnel_next_upstream_tries", Contexts: ctxAll, Args: "number", Default: "0",
			Doc: "How many addresses are tried for a CONNECT; 0 means all.",
			min: 1, max: 1, read: readTunnelTries,
		},
		{
			Name: "tunnel_next_upstream_timeout", Contexts: ctxAll, Args: "time", Default: "0",
			Doc: "How long all tries for a CONNECT may take together; 0 means no limit.",
			min: 1, max: 1, read: duration(func(s *Settings) *time.Duration { return &s.Tunnel.NextUpstreamTimeout }),
		},
		{
			Name: "tunnel_bind", Contexts: ctxAll, Args: "address | off",
			Doc: "The local address of the connections for CONNECT.", Deviation: "transparent is refused.",
			min: 1, max: 2, read: readTunnelBind,
		},
		{
			Name: "tunnel_socket_keepalive", Contexts: ctxAll, Args: "on | off", Default: "on",
			Doc:       "TCP keepalive on the connections for CONNECT.",
			Deviation: "The default is on, at times as with so_keepalive of listen.",
			min:       1, max: 1, form: onOffOnly, read: onOff(func(s *Settings) *bool { return &s.Tunnel.SocketKeepalive }),
		},
	}
}
