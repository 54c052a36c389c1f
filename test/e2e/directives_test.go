package e2e_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"holdfast/test/port"
	"holdfast/test/proc"
)

// A log of tunnels has the messages only where frames are followed.
func TestTunnelFramesCountMessages(t *testing.T) {
	b := proc.NewBackend(t, proc.Echo())
	p := holdfast(t, proc.Spec{HTTP: `
    log_format t '$uri $tunnel_messages_up $tunnel_messages_down';
    server { listen 127.0.0.1:{{port:front}};
        tunnel_log logs/tunnels.log t close;
        location /on { proxy_pass http://{{backend}}; }
        location /off { tunnel_frames off; proxy_pass http://{{backend}}; }
    }`, Vars: vars("backend", b.Addr)})
	for _, path := range []string{"/on", "/off"} {
		c := proc.Dial(t, p.Front())
		c.Handshake("x", path)
		c.EchoText("one").EchoText("two")
		c.Close()
		untilLog(t, p, "tunnels.log", func(text string) bool { return strings.Contains(text, path+" ") })
	}
	text, _ := os.ReadFile(p.Dir + "/logs/tunnels.log")
	equal(t, "the log", string(text), "/on 2 2\n/off 0 0\n")
}

// What limit_conn refuses is logged at the level that is written.
func TestLimitConnLogLevelAsNginx(t *testing.T) {
	b := proc.NewBackend(t, proc.Silent())
	both(t, proc.Spec{Main: "error_log logs/error.log notice;", HTTP: `
    limit_conn_zone $server_name zone=all:1m;
    server { listen 127.0.0.1:{{port:front}}; server_name test.example; limit_conn all 1; limit_conn_log_level notice;
        location / { proxy_pass http://{{backend}}; }
    }`, Vars: vars("backend", b.Addr)}, func(t *testing.T, p *proc.Proxy) {
		seen := len(b.Seen())
		first := proc.Dial(t, p.Front())
		first.Send(get("/"))
		proc.Until(t, "the first request at the backend", func() error {
			if len(b.Seen()) == seen {
				return fmt.Errorf("it has %d", seen)
			}
			return nil
		})
		second := proc.Dial(t, p.Front())
		second.Send(get("/")).Response(503)
		untilLog(t, p, "error.log", func(text string) bool {
			return strings.Contains(text, "[notice]") && strings.Contains(text, `limiting connections by zone "all"`)
		})
		first.Close()
	})
}

// least_time prefers the server that answers sooner.
func TestLeastTime(t *testing.T) {
	slow := proc.NewBackend(t, func(x *proc.Exchange) {
		for range 5 {
			x.ExpectSilence()
		}
		proc.Answer(200, "slow")(x)
	})
	quick := proc.NewBackend(t, proc.Answer(200, "quick"))
	p := holdfast(t, proc.Spec{Workers: 1, HTTP: `
    upstream u { least_time header; server {{slow}}; server {{quick}}; }
    server { listen 127.0.0.1:{{port:front}}; location / { proxy_pass http://u; } }`,
		Vars: vars("slow", slow.Addr, "quick", quick.Addr)})
	c := proc.Dial(t, p.Front())
	for range 40 {
		c.Send(get("/"))
		c.Body(c.Response(200))
	}
	if s, q := len(slow.Seen()), len(quick.Seen()); s == 0 || s > q/4 {
		t.Errorf("the slow server got %d requests, the quick one %d", s, q)
	}
}

// A CONNECT goes to as many addresses as tunnel_next_upstream_tries allows.
func TestTunnelNextUpstreamTries(t *testing.T) {
	const block = `
    upstream dead { server {{a}}; server {{b}}; server {{c}}; }
    server { listen 127.0.0.1:{{port:front}}; location / { tunnel_pass dead; {{rules}} } }`
	for rules, tries := range map[string]int64{
		"": 3, "tunnel_next_upstream_tries 2;": 2, "tunnel_next_upstream off;": 1,
		"tunnel_next_upstream_tries 0; tunnel_next_upstream_timeout 20s;": 3,
	} {
		p := holdfast(t, proc.Spec{HTTP: block,
			Vars: vars("a", port.Address(t), "b", port.Address(t), "c", port.Address(t), "rules", rules)})
		refused(t, p, connect("anything.test:443"), 502)
		equal(t, rules+": tries", p.Status(t).Totals.UpstreamConnects, tries)
	}
}
