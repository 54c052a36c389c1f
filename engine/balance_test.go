package engine

import (
	"net/netip"
	"strings"
	"testing"

	"holdfast/config"
	"holdfast/route"
	"holdfast/upstream"
)

// TestBuildBalance: what upstream blocks say arrives in the groups, in http and in stream.
func TestBuildBalance(t *testing.T) {
	built, problems := Build(load(t, `http {
  upstream a { hash "$host:$arg_k" consistent; server 10.0.0.1:1 weight=3; server 10.0.0.2:1; }
  upstream b { ip_hash; server 10.0.0.1:1; server 10.0.0.2:1 max_conns=1; }
  upstream c { least_conn; server 10.0.0.1:1; server 10.0.0.2:1 slow_start=10s; }
  server { listen 1; location / { proxy_pass http://a; } location /d { proxy_pass http://10.0.0.9:1; } }
}
stream { upstream a { hash $remote_addr; server 10.0.0.1:1; server 10.0.0.2:1; } server { listen 2; proxy_pass a; } }`),
		route.Process{}, NewShared())
	if built == nil {
		t.Fatal(problems)
	}
	sn := built.Snapshot
	if len(sn.Groups) != 5 || len(sn.Balancing) != 5 {
		t.Fatalf("%d groups, %d recipes", len(sn.Groups), len(sn.Balancing))
	}
	for i, g := range sn.Groups {
		if g.Number != i {
			t.Errorf("group %s has number %d, want %d", g.Name, g.Number, i)
		}
	}
	e := &route.Env{}
	e.Reset()
	e.Host, e.Args, e.Remote = []byte("h.test"), []byte("k=v"), netip.MustParseAddrPort("192.0.2.1:5")
	for i, want := range []struct {
		wants upstream.Want
		key   string
	}{
		{upstream.WantsKey, "h.test:v"}, {upstream.WantsAddress, ""}, {upstream.WantsNothing, ""}, {upstream.WantsNothing, ""},
		{upstream.WantsKey, "192.0.2.1"},
	} {
		if got := sn.Groups[i].Wants(); got != want.wants {
			t.Errorf("group %d wants %d, want %d", i, got, want.wants)
		}
		if got := string(sn.Balancing[i].Key.Append(nil, e)); got != want.key {
			t.Errorf("group %d: key %q, want %q", i, got, want.key)
		}
	}
	c := upstream.Choice{}
	for range 4 { // least_conn
		if sn.Groups[2].Pick(&c, 1) == nil {
			c = upstream.Choice{}
		}
	}
	full := 0
	for range 5 {
		c = upstream.Choice{Prefer: sn.Groups[1].AppendPeers(nil)[1].ID}
		if p := sn.Groups[1].Pick(&c, 1); p.Name == "10.0.0.2:1" {
			full++
		}
	}
	if full != 1 {
		t.Errorf("a server with max_conns=1 was lent %d times", full)
	}
}

func TestTooHeavyRing(t *testing.T) {
	_, problems := Build(load(t, `http { upstream a {
		hash $uri consistent; server 10.0.0.1:1 weight=200000; }
		server { listen 1; location / { proxy_pass http://a; } } }`), route.Process{}, NewShared())
	if !config.HasErrors(problems) || !strings.Contains(problems[0].Text, "at most 131072 are supported with consistent hashing") ||
		problems[0].Line != 1 {
		t.Errorf("problems %v", problems)
	}
}
