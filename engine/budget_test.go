package engine

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
)

// limitFiles sets the soft limit of open files for a test.
func limitFiles(t *testing.T, soft uint64) {
	t.Helper()
	var old syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old))
	must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: min(soft, old.Max), Max: old.Max}))
	t.Cleanup(func() { must(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old)) })
}

const planned = "%s\nevents { worker_connections %d; }\n" +
	"http { upstream u { server 127.0.0.1:1; keepalive 16; } server { listen 1; location / { proxy_pass http://u; } } }"

func TestPlanRaisesTheLimit(t *testing.T) {
	limitFiles(t, 500)
	b, err := plan(load(t, fmt.Sprintf(planned, "", 300)), 2)
	must(t, err)
	if b.sessionsMax != 300 || b.pipesMax != pipesPerShard || b.lowered || b.fds < 2*2*(300+pipesPerShard) {
		t.Errorf("budget %+v", b)
	}
	var now syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &now))
	if now.Cur != b.fds {
		t.Errorf("the limit is %d, the budget says %d", now.Cur, b.fds)
	}
}

// What the limit does not allow is not promised: all that a lowered budget may have
// open at a time fits.
func TestPlanLowersSessions(t *testing.T) {
	for _, nofile := range []int{1, 64, 100, 300, 700, 1024, 4096} {
		for _, shards := range []int{1, 2, 8} {
			t.Run(fmt.Sprintf("%d files, %d shards", nofile, shards), func(t *testing.T) {
				cfg := load(t, fmt.Sprintf(planned, fmt.Sprintf("worker_rlimit_nofile %d;", nofile), 100_000))
				limitFiles(t, uint64(nofile))
				b, err := plan(cfg, shards)
				must(t, err)
				if !b.lowered || b.sessionsMax < 1 || b.pipesMax < 1 || b.fds != uint64(nofile) {
					t.Errorf("budget %+v", b)
				}
				used := fdsReserve + shards*(fdsPerShard+1+2*b.sessionsMax+2*b.pipesMax)
				if b.sessionsMax > 1 && used > nofile {
					t.Errorf("budget %+v may have %d files open", b, used)
				}
			})
		}
	}
}

// Only a configuration that may send files keeps descriptors for them.
func TestPlanKeepsDescriptorsForFiles(t *testing.T) {
	const proxied = "location / { proxy_pass http://127.0.0.1:1; } "
	for server, want := range map[string]bool{
		proxied:                        false,
		"root /srv; " + proxied:        false,
		"return 204;":                  false,
		"location / { return 204; }":   false,
		"":                             true,
		"location /a { return 204; }":  true,
		proxied + "location /a { }":    true,
		proxied + "location @a { }":    true,
		proxied + "try_files /a =404;": true,
		"location / { location /a { } proxy_pass http://127.0.0.1:1; }":                  true,
		"location / { try_files $uri =404; proxy_pass http://127.0.0.1:1; }":             true,
		"location / { location = /a { return 204; } return 404; }":                       false,
		"location ^~ / { proxy_pass http://127.0.0.1:1; } location = /a { return 204; }": false,
	} {
		cfg := load(t, "http { server { listen 1; "+server+" } }")
		if got := servesFiles(cfg); got != want {
			t.Errorf("%q serves files: %v", server, got)
		}
	}
	limitFiles(t, 1024)
	text := "worker_rlimit_nofile 1024; events { worker_connections 1000; } http { server { listen 1; %s } }"
	without, err := plan(load(t, fmt.Sprintf(text, proxied)), 1)
	must(t, err)
	with, err := plan(load(t, fmt.Sprintf(text, "")), 1)
	must(t, err)
	if without.sessionsMax <= with.sessionsMax {
		t.Errorf("%d sessions without files, %d with", without.sessionsMax, with.sessionsMax)
	}
}

func TestPlanRefusesWhatItCannotHold(t *testing.T) {
	limitFiles(t, 500)
	cfg := load(t, fmt.Sprintf(planned, "tunnels_min 2001;", 1000))
	if _, err := plan(cfg, 2); err == nil || !strings.Contains(err.Error(), "tunnels_min 2001") {
		t.Errorf("error %v", err)
	}
	cfg.Main.TunnelsMin = 2000
	if _, err := plan(cfg, 2); err != nil {
		t.Errorf("2000 of 2000: %v", err)
	}
	limitFiles(t, 500)
	cfg = load(t, fmt.Sprintf(planned, "tunnels_min 2000; worker_rlimit_nofile 1024;", 1000))
	if _, err := plan(cfg, 2); err == nil || !strings.Contains(err.Error(), "limit of 1024 open files") {
		t.Errorf("with 1024 files: %v", err)
	}
}
