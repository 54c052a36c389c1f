package engine

import (
	"fmt"
	"strings"
	"testing"

	"holdfast/health"
	"holdfast/route"
)

const checkedConf = `http {
  match good { status 200; header X ~ ^a; body !~ down; }
  upstream a { server 10.0.0.1:1; server 10.0.0.2:1 down; }
  upstream b { server 10.0.0.3:1; }
  server { listen 1; server_name www.test other.test;
    location / {
      proxy_pass http://a/x; proxy_connect_timeout 3s; proxy_read_timeout 4s; proxy_http_version 1.1;
      proxy_set_header Host $host; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
      proxy_set_header X-Real-IP $remote_addr; proxy_set_header X-Token secret; proxy_set_header X-To ${proxy_host}:$proxy_port;
      health_check mandatory match=good uri=/up port=81 keepalive_time=10s interval=7s jitter=1s fails=2 passes=3;
    }
    location /b { proxy_pass https://b; proxy_http_version 1.0; proxy_protocol v2; health_check; }
    location /c { proxy_pass http://b; proxy_set_header User-Agent me; proxy_bind $remote_addr 127.0.0.9; health_check;
      location /c/d { proxy_pass http://b; }
    }
  }
}
stream {
  match ping { send PING; expect ~* "pong\xff"; }
  upstream a { server 10.0.0.4:1; }
  server { listen 2; proxy_pass a; proxy_protocol on; health_check_timeout 2s; proxy_connect_timeout 1s;
    health_check match=ping; }
}`

func builtChecks(t *testing.T, conf string) []*health.Check {
	t.Helper()
	built, problems := Build(load(t, conf), route.Process{Version: "1"}, NewShared())
	if built == nil {
		t.Fatal(problems)
	}
	return built.Checks
}

// TestBuildHealth: what health_check and its location say arrives in the checks.
func TestBuildHealth(t *testing.T) {
	checks := builtChecks(t, checkedConf)
	if len(checks) != 4 {
		t.Fatalf("%d checks", len(checks))
	}
	for i, want := range []string{
		`a "good" 7s 1s 2 3 true :81 invalid IP 3s 4s "" "GET /up HTTP/1.1\r\nHost: www.test\r\nX-Token: secret\r\nX-To: a:80\r\n` +
			`User-Agent: holdfast/1 (health check)\r\n\r\n" 10s 1 1 1`,
		`b "" 5s 0s 1 1 false :0 invalid IP 1m0s 1m0s "\r\n\r\n\x00\r\nQUIT\n \x00\x00\x00" "GET / HTTP/1.0\r\nHost: b\r\n` +
			`Connection: close\r\nUser-Agent: holdfast/1 (health check)\r\n\r\n" 0s 0 0 0`,
		`b "" 5s 0s 1 1 false :0 127.0.0.9 1m0s 1m0s "" "GET / HTTP/1.1\r\nHost: b\r\nConnection: close\r\nUser-Agent: me\r\n\r\n" ` +
			`0s 0 0 0`,
		`a "ping" 5s 0s 1 1 false :0 invalid IP 1s 2s "PROXY UNKNOWN\r\n" send "PING" expect "" ~ (?i)pong\xff`,
	} {
		c := checks[i]
		got := fmt.Sprintf("%s %q %v %v %d %d %v :%d %v %v %v %q ", c.Upstream, c.Match, c.Interval, c.Jitter, c.Fails, c.Passes,
			c.Mandatory, c.Port, c.Local, c.ConnectTimeout, c.Timeout, c.Greeting)
		if h := c.HTTP; h != nil {
			got += fmt.Sprintf("%q %v %d %d %d", h.Request, h.KeepaliveTime, len(h.Statuses), len(h.Headers), len(h.Bodies))
		} else {
			got += fmt.Sprintf("send %q expect %q ~ %v", c.Stream.Send, c.Stream.Expect, c.Stream.Pattern)
		}
		if got != want {
			t.Errorf("check %d:\n%s, want\n%s", i, got, want)
		}
		if (c.TLS != nil) != (i == 1) {
			t.Errorf("check %d: with TLS: %v", i, c.TLS != nil)
		}
	}
	if n := len(checks[0].Group.AppendChecked(nil)); n != 1 {
		t.Errorf("%d servers of a are checked, want 1: one is down", n)
	}
	// What the group of stream is called by its counters must not be in log lines.
	if g := checks[3].Group; g.Name != streamGroup+"a" {
		t.Errorf("the group is %s", g.Name)
	}
}

// The same text gives the same keys, another text others: by them states survive a reload.
func TestHealthKeys(t *testing.T) {
	first, again := builtChecks(t, checkedConf), builtChecks(t, "# moved\n"+checkedConf)
	seen := map[string]bool{}
	for i := range first {
		if first[i].Key != again[i].Key {
			t.Errorf("%s\nthen %s", first[i].Key, again[i].Key)
		}
		seen[first[i].Key] = true
	}
	for _, change := range [][2]string{
		{"uri=/up", "uri=/down"}, {"status 200", "status 201"}, {"interval=7s", "interval=8s"}, {"fails=2", "fails=1"},
		{"X-Token secret", "X-Token other"}, {"proxy_read_timeout 4s", "proxy_read_timeout 5s"}, {"127.0.0.9", "127.0.0.8"},
		{"proxy_protocol v2", "proxy_protocol v1"}, {"send PING", "send PANG"}, {"pong", "ping"}, {"https://b", "http://b"},
		{"health_check_timeout 2s", "health_check_timeout 3s"}, {"port=81", "port=82"}, {" mandatory", " mandatory persistent"},
	} {
		changed := 0
		for _, c := range builtChecks(t, strings.Replace(checkedConf, change[0], change[1], 1)) {
			if !seen[c.Key] {
				changed++
			}
		}
		if changed != 1 {
			t.Errorf("%s: %d keys changed, want 1", change[1], changed)
		}
	}
}

func TestHealthDescriptors(t *testing.T) {
	cfg := load(t, checkedConf)
	if n := checkDescriptors(cfg); n != 7 { // 2 kept, and 5 checks at a time
		t.Errorf("%d descriptors, want 7", n)
	}
}

// What checks found out about a peer, for the admin listener.
func TestHealthInfo(t *testing.T) {
	built, _ := Build(load(t, checkedConf), route.Process{}, NewShared())
	peer := built.Snapshot.Groups[0].AppendPeers(nil)[0]
	if healthInfo(peer) != nil {
		t.Error("there is something to tell about a peer that nothing checks")
	}
	h := &peer.Health
	h.Checkers.Add(1)
	for _, want := range []string{"up", "checking", "unhealthy"} {
		if got := healthInfo(peer).State; got != want {
			t.Errorf("state %s, want %s", got, want)
		}
		if h.Checking.Load() == 0 {
			h.Checking.Add(1)
		} else {
			h.Failing.Add(1)
		}
	}
}
