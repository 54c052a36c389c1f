package engine

import (
	"fmt"
	"net/netip"
	"testing"

	"holdfast/config"
	"holdfast/route"
	"holdfast/shard"
	"holdfast/upstream"
)

func TestBuildNamedGroups(t *testing.T) {
	cfg := load(t, `http {
		upstream plain { server 127.0.0.1:1; }
		upstream named { server 127.0.0.1:2; server a.test:3 resolve weight=2; tunnels drain 5s; }
		resolver 127.0.0.53;
		server { listen 1; location / { proxy_pass http://named; } location /var { proxy_pass http://$host; } } }
	stream { upstream s { server b.test:4 resolve; } resolver 127.0.0.54;
		server { listen 2; proxy_pass $remote_addr:1; } server { listen 3; proxy_pass s; } }`)
	built, problems := Build(cfg, route.Process{}, NewShared())
	if built == nil || len(problems) > 0 {
		t.Fatal(problems)
	}
	if len(built.names) != 2 || len(built.Snapshot.Resolvers) != 2 {
		t.Fatalf("%d named groups, %d resolvers", len(built.names), len(built.Snapshot.Resolvers))
	}
	n := built.names[0]
	if n.name != "named" || n.removal.Policy != shard.DrainTunnels || n.removal.SpreadMs != 5000 ||
		n.resolver != built.Snapshot.Resolvers[0] || len(n.group.AppendPeers(nil)) != 1 || len(n.found[0]) != 1 {
		t.Errorf("%+v", n)
	}
	if s := built.names[1]; s.resolver != built.Snapshot.Resolvers[1] || len(s.group.AppendPeers(nil)) != 0 {
		t.Errorf("%+v", s)
	}
	location, _ := built.Snapshot.Table.Default(0).Locate(&route.Env{URI: []byte("/var")})
	if location.Settings.Resolver != 1 {
		t.Errorf("resolver %d of a location", location.Settings.Resolver)
	}
}

func TestServiceNames(t *testing.T) {
	for want, s := range map[string]config.UpstreamServer{
		"_http._tcp.a.test":   {Host: "a.test", Service: "http"},
		"_http._udp.a.test":   {Host: "a.test", Service: "_http._udp"},
		"one.backends.a.test": {Host: "a.test", Service: "one.backends"},
	} {
		if got := serviceName(&s); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Records of the best priority are servers and the others backups; of a backup the others are
// left out.
func TestServices(t *testing.T) {
	at := func(text string, priority, weight uint16) upstream.Service {
		return upstream.Service{Addr: netip.MustParseAddrPort(text), Priority: priority, Weight: weight}
	}
	a := &upstream.Answer{Services: []upstream.Service{
		at("192.0.2.3:3", 20, 4), at("192.0.2.1:1", 10, 0), at("192.0.2.2:2", 10, 9), at("192.0.2.4:0", 10, 1),
	}}
	for _, backup := range []bool{false, true} {
		var got []string
		for _, s := range specsOf(&config.UpstreamServer{Service: "http", Weight: 7, Backup: backup}, a) {
			got = append(got, fmt.Sprint(s.Name, " ", s.Weight, " ", s.Backup))
		}
		want := "[192.0.2.1:1 7 false 192.0.2.2:2 9 false 192.0.2.3:3 4 true]"
		if backup {
			want = "[192.0.2.1:1 7 true 192.0.2.2:2 9 true]"
		}
		if fmt.Sprint(got) != want {
			t.Errorf("backup %v: got %v, want %s", backup, got, want)
		}
	}
}
