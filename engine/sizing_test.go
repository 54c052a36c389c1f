package engine

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const sized = `worker_processes 3; worker_rlimit_nofile 5000; admin 127.0.0.1:9180;
events { worker_connections 300; }
http {
	upstream u {
		keepalive 16;
		server 127.0.0.1:1; server 127.0.0.1:1 weight=2; server 127.0.0.1:2;
		server 127.0.0.1:3 backup; server 127.0.0.1:4 down;
	}
	upstream local { server unix:/run/app.sock; }
	server { listen 8080 backlog=100 so_keepalive=30::; listen 443; location / { proxy_pass http://u; } }
	server { listen 443; listen unix:/run/h.sock; location / { proxy_pass http://local; } }
}`

func TestSizingOf(t *testing.T) {
	s := SizingOf(load(t, sized))
	want := Sizing{
		Shards: 3, SessionsMax: 300, FilesAsked: 5000, InFlightMax: 3 * inFlightPerCore, PipesMax: pipesPerShard,
		Descriptors:   Descriptors{Shards: 3, Fixed: fdsReserve + 3*(fdsPerShard+3) + fdsAdmin, Idle: 16 + 32},
		KeepaliveDown: 30, KeepaliveUp: 96, Backlog: 100, Ports: []int{443, 8080, 9180},
		Upstreams: []UpstreamSize{
			{Name: "u", Addresses: []string{"127.0.0.1:1", "127.0.0.1:2"}}, {Name: "local", Unix: true},
		},
	}
	if diff := cmp.Diff(want, s); diff != "" {
		t.Error(diff)
	}
}

func TestSizingOfVariables(t *testing.T) {
	const conf = "http { server { listen 1; location /a { return 204; location /a/b { proxy_pass http://$host; } } } }"
	s := SizingOf(load(t, conf))
	if !s.Variables || s.FilesAsked != 0 || s.Shards != 1 {
		t.Errorf("%+v", s)
	}
	if auto := SizingOf(load(t, "worker_processes auto; "+conf)); auto.Shards != Cores() {
		t.Errorf("auto is %d shards on %d cores", auto.Shards, Cores())
	}
}

// What is granted at the start is what Descriptors says beforehand: doctor promises by it.
func TestPlanAgreesWithDescriptors(t *testing.T) {
	for _, nofile := range []int{100, 700, 1024, 4096} {
		for _, shards := range []int{1, 2, 8} {
			cfg := load(t, fmt.Sprintf(planned, fmt.Sprintf("worker_rlimit_nofile %d;", nofile), 100_000))
			limitFiles(t, uint64(nofile))
			b, err := plan(cfg, shards)
			must(t, err)
			if want := descriptors(cfg, shards).Sessions(uint64(nofile)); b.sessionsMax != want {
				t.Errorf("%d files, %d shards: granted %d, said %d", nofile, shards, b.sessionsMax, want)
			}
		}
	}
}

// A limit that is enough for some sessions by Files allows them by Sessions.
func TestDescriptorsInverse(t *testing.T) {
	for _, d := range []Descriptors{{Shards: 1, Fixed: 200}, {Shards: 2, Fixed: 400, Idle: 32}, {Shards: 16, Fixed: 4000, Idle: 64}} {
		for _, sessions := range []int{4096, 100_000, 2_000_000} {
			if got := d.Sessions(d.Files(sessions)); got != sessions {
				t.Errorf("%+v: %d files for %d sessions allow %d", d, d.Files(sessions), sessions, got)
			}
		}
	}
	if n := (Descriptors{Shards: 1}).Sessions(1 << 63); n <= 0 {
		t.Errorf("no limit allows %d sessions", n)
	}
}
