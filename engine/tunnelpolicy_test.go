package engine

import (
	"testing"

	"holdfast/route"
	"holdfast/shard"
)

const tunnelRules = `
events { }
http {
    tunnels_max 9; websocket_origin https://a.example;
    server {
        listen 127.0.0.1:8081; server_name a.test;
        location / { proxy_pass http://127.0.0.1:1; }
        location /b { tunnel_max_lifetime 1h jitter=7%; proxy_pass http://127.0.0.1:1; }
        location /c { tunnels_max 3 retry_after=5s; websocket_origin off; proxy_pass http://127.0.0.1:1; }
    }
}
stream {
    tunnel_max_lifetime 2h;
    server { listen 127.0.0.1:8082; proxy_pass 127.0.0.1:1; }
}`

// located is what holds at a path of the first server.
func located(built *Built, path string) *route.Settings {
	server := built.Snapshot.Table.Default(0)
	l, _ := server.Locate(&route.Env{Server: server, URI: []byte(path)})
	return &l.Settings
}

func TestTunnelPolicyIsTranslated(t *testing.T) {
	shared := NewShared()
	built, problems := Build(load(t, tunnelRules), route.Process{}, shared)
	if built == nil {
		t.Fatal(problems)
	}
	a, b, c := located(built, "/"), located(built, "/b"), located(built, "/c")
	if a.TunnelCount == 0 || a.TunnelCount != b.TunnelCount || a.TunnelsMax != 9 || a.TunnelsRetry != 10 ||
		c.TunnelCount == a.TunnelCount || c.TunnelsMax != 3 || c.TunnelsRetry != 5 {
		t.Errorf("counts %d %d %d", a.TunnelCount, b.TunnelCount, c.TunnelCount)
	}
	if a.Origins == nil || c.Origins != nil {
		t.Error("the origins")
	}
	for set, want := range map[*route.Settings]shard.Policy{
		a: {TunnelCount: a.TunnelCount},
		b: {TunnelCount: a.TunnelCount, LifetimeMs: 3600_000, LifetimeJitter: 7},
		c: {TunnelCount: c.TunnelCount},
	} {
		p := shared.Policies.At(set.Policy)
		if got := (shard.Policy{TunnelCount: p.TunnelCount, LifetimeMs: p.LifetimeMs, LifetimeJitter: p.LifetimeJitter}); got != want {
			t.Errorf("policy %+v, want %+v", got, want)
		}
	}
	stream := built.Snapshot.Listeners[1].Stream
	if p := shared.Policies.At(stream.Policy); p.LifetimeMs != 7200_000 || p.LifetimeJitter != 10 || p.TunnelCount != 0 {
		t.Errorf("policy of the stream %+v", *p)
	}
}

// A count goes on in the next configuration, whatever its line and its limit.
func TestTunnelCountsOutliveAConfiguration(t *testing.T) {
	shared := NewShared()
	first, _ := Build(load(t, tunnelRules), route.Process{}, shared)
	again, problems := Build(load(t, `
events { }

http {
    server {
        listen 127.0.0.1:8081; server_name a.test;
        location /c { tunnels_max 30; proxy_pass http://127.0.0.1:1; }
        location /d { tunnels_max 30; proxy_pass http://127.0.0.1:1; location ~ x { tunnels_max 1; proxy_pass http://127.0.0.1:1; } }
        location / { return 204; }
    }
    tunnels_max 8;
}`), route.Process{}, shared)
	if again == nil {
		t.Fatal(problems)
	}
	if a, b := located(first, "/").TunnelCount, located(again, "/").TunnelCount; a != b {
		t.Errorf("the count of http was %d, is %d", a, b)
	}
	c := located(again, "/c")
	if a := located(first, "/c").TunnelCount; a != c.TunnelCount || c.TunnelsMax != 30 {
		t.Errorf("the count of /c was %d, is %d of %d", a, c.TunnelCount, c.TunnelsMax)
	}
	if d, x := located(again, "/d").TunnelCount, located(again, "/dx").TunnelCount; d == x || d <= 2 || x <= 2 {
		t.Errorf("counts %d and %d", d, x)
	}
	if name := shared.TunnelCounts.At(c.TunnelCount).Name(); name != "server a.test 127.0.0.1:8081 location /c" {
		t.Errorf("name %q", name)
	}
}
