package engine

import (
	"testing"

	"holdfast/config"
	"holdfast/route"
)

func TestBuildTunnelPass(t *testing.T) {
	cfg := load(t, `http {
		upstream chat { server 127.0.0.1:1; } resolver 127.0.0.53 valid=30s; resolver_timeout 3s;
		tunnel_allow_ports 443 8000-8010; tunnel_connect_timeout 7s; proxy_connect_timeout 9s;
		server { listen 1; tunnel_pass;
			location /a { tunnel_pass chat; tunnel_allow_private on; tunnel_read_timeout 5s; }
			location /b { tunnel_pass 10.0.0.1:443; tunnel_next_upstream off; tunnel_allow_hosts *.a.test; }
			location /c { proxy_pass http://127.0.0.1:2; } }
		server { listen 2; resolver 127.0.0.1:5353; location / { tunnel_pass $host:$request_port; } } }`)
	built, problems := Build(cfg, route.Process{}, NewShared())
	if built == nil || len(problems) > 0 {
		t.Fatal(problems)
	}
	sn := built.Snapshot
	if len(sn.Resolvers) != 2 {
		t.Errorf("%d resolvers", len(sn.Resolvers))
	}
	server := sn.Table.Default(0)
	if p := server.Content.TunnelPass; p == nil || p.Resolver != 1 || !p.AllowPort(8010) || p.AllowPort(80) ||
		server.Content.Settings.ConnectTimeout != 7000 {
		t.Errorf("server level %+v", p)
	}
	find := func(path string) *route.Location {
		location, _ := server.Locate(&route.Env{URI: []byte(path)})
		return location
	}
	a, b, c := find("/a"), find("/b"), find("/c")
	if a.TunnelPass == nil || a.Settings.TunnelReadTimeout != 5000 || a.TunnelPass.Resolver != 0 {
		t.Errorf("/a %+v", a)
	}
	if b.TunnelPass == nil || b.Settings.NextUpstream != 0 || b.Settings.TunnelReadTimeout != 0 {
		t.Errorf("/b %+v", b)
	}
	if c.TunnelPass != nil || c.Settings.ConnectTimeout != 9000 {
		t.Errorf("/c %+v", c)
	}
}

func TestTunnelProblems(t *testing.T) {
	for _, text := range []string{
		"tunnel_pass 10.0.0.1;", "tunnel_pass nosuch;", "tunnel_pass a b;", "tunnel_allow_ports 0;", "tunnel_allow_ports 5-4;",
		"tunnel_allow_ports x;", "tunnel_allow_hosts a*b;", "tunnel_allow_hosts ~(;", "tunnel_allow_private maybe;", "tunnel_bind x;",
		"tunnel_allow_upstream $host;", "resolver nosuch;", "resolver 127.0.0.1 ipv4=off ipv6=off;", "resolver valid=5s;",
		"tunnel_next_upstream http_500;", "location / { proxy_pass http://127.0.0.1:1; tunnel_pass; }",
		"location / { tunnel_pass; proxy_pass http://127.0.0.1:1; }",
	} {
		cfg, problems := config.LoadText("nginx.conf", "http { server { listen 1; "+text+" } }", config.Options{Prefix: t.TempDir()})
		if cfg != nil {
			t.Errorf("%s was taken: %v", text, problems)
		}
	}
}
