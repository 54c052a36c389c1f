package e2e_test

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"holdfast/test/proc"
	"holdfast/test/procfs"
	"holdfast/test/wire"
)

// hostileServer is the ground the attacks are made on: short limits, a pooled upstream,
// and locations for the ways a request line could leak into a head or a log.
const hostileServer = `
client_header_timeout 60s;
lingering_time 2s;
lingering_timeout 300ms;
map $http_upgrade $connection_upgrade {
    default upgrade;
    ''      "";
}
upstream backend {
    server {{backend}} max_fails=0;
    keepalive 16;
}
log_format hostile '$remote_addr "$request" $status "$http_user_agent" "$uri" "$http_referer"';
access_log {{dir}}/logs/hostile.log hostile;
server {
    listen 127.0.0.1:{{port:front}};
    client_max_body_size 100k;
    proxy_request_buffering off;
    proxy_buffering off;
    proxy_http_version 1.1;
    proxy_set_header Connection $connection_upgrade;
    proxy_set_header Upgrade $http_upgrade;
    location / { proxy_pass http://backend; }
    location /small/ { client_max_body_size 100; proxy_pass http://backend; }
    location /old/ { proxy_pass http://backend; proxy_http_version 1.0; }
    location /plain/ { proxy_pass http://backend; proxy_set_header Connection ""; }
    location /ours/ {
        proxy_pass http://backend;
        proxy_set_header Host fixed.example;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header Connection "";
    }
    location /path/ { proxy_pass http://backend; proxy_set_header X-Path $uri; proxy_set_header Connection ""; }
    location /args/ { proxy_pass http://backend; proxy_set_header X-Arg $arg_a; proxy_set_header Connection ""; }
    location /moved/ { return 302 /elsewhere$uri; }
    location /mapped/ { proxy_pass http://backend/other/; proxy_set_header Connection ""; }
    location /quick/ {
        proxy_pass http://backend;
        proxy_connect_timeout 300ms;
        proxy_read_timeout 300ms;
        proxy_send_timeout 300ms;
        client_body_timeout 300ms;
        send_timeout 300ms;
        tunnel_send_timeout 400ms;
    }
    location /hole/ { proxy_pass http://{{hole}}; proxy_connect_timeout 10s; }
    location /own/ { return 200 "own\n"; }
}`

// ground is a proxy with a recording backend behind it.
type ground struct {
	*proc.Proxy
	backend *proc.Backend
	mark    int
	probes  int
}

// startGround starts a holdfast before a backend that plays the given behaviour for
// what is not a probe. The test runs beside others: it waits a lot and works little.
func startGround(t *testing.T, play proc.Behaviour) *ground {
	t.Helper()
	t.Parallel()
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		if strings.Contains(x.Head.Target(), "/probe-") {
			echoTarget(x)
			return
		}
		play(x)
	})
	spec := hostileSpec(t, b)
	return &ground{Proxy: holdfast(t, spec), backend: b}
}

func hostileSpec(t *testing.T, b *proc.Backend) proc.Spec {
	return proc.Spec{HTTP: hostileServer, Vars: map[string]string{"backend": b.Addr, "hole": fullListener(t)}}
}

// echoTarget answers with the request's target, so that a client can tell its own answer
// from another's.
func echoTarget(x *proc.Exchange) {
	if x.Head.Has("Expect") && (x.Head.Chunked() || x.Head.ContentLength() > 0) {
		x.Send(wire.Lines("HTTP/1.1 100 Continue"))
	}
	if x.Head.Chunked() || x.Head.ContentLength() > 0 {
		x.Body(x.Head)
	}
	target := x.Head.Target()
	if x.Head.Method() == "HEAD" {
		x.Send(wire.Lines("HTTP/1.1 200 OK", "Content-Length: "+strconv.Itoa(len(target))))
	} else {
		x.Send(wire.Lines("HTTP/1.1 200 OK", "Content-Length: "+strconv.Itoa(len(target))) + target)
	}
	x.Keep = x.Err() == nil
}

// targets are what the backend has seen since the last call, probes left out.
func (g *ground) targets() []string {
	var out []string
	seen := g.backend.Seen()
	for _, x := range seen[g.mark:] {
		if !strings.Contains(x.Head.Target(), "/probe-") {
			out = append(out, x.Head.Target())
		}
	}
	g.mark = len(seen)
	return out
}

// alive checks that a well-behaved client gets its own answer, twice on one connection.
func (g *ground) alive(t *testing.T) {
	t.Helper()
	c := proc.Try(g.Front())
	defer c.Close()
	for range 2 {
		g.probes++
		target := "/probe-" + strconv.Itoa(g.probes)
		c.Send(get(target))
		if got := string(c.Body(c.Response(200))); c.Err() != nil || got != target {
			t.Fatalf("a well-behaved request for %s got %q, %v", target, got, c.Err())
		}
	}
}

// settled waits until the proxy holds nothing that it did not hold at its start.
func (g *ground) settled(t *testing.T) {
	t.Helper()
	if g.Ended() {
		t.Fatal("the proxy has died")
	}
	proc.Until(t, "the proxy to let go", g.AtBaseline)
}

// calm checks that the proxy does not spin: with nothing arriving its threads hardly run.
func (g *ground) calm(t *testing.T, while string) {
	t.Helper()
	const window = 500 * time.Millisecond
	var ran time.Duration
	// Leftover work ends within some windows, on a busy machine later; only a spin lasts
	// through all of them.
	for range 20 {
		before, err := procfs.RunTime(g.PID())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(window)
		after, err := procfs.RunTime(g.PID())
		if err != nil {
			t.Fatal(err)
		}
		if ran = after - before; ran < window/5 {
			return
		}
	}
	t.Errorf("%s the idle proxy ran %v in %v", while, ran, window)
}

// honest checks a head that the backend got for what no proxy may ever pass on: two
// framings, bytes that another parser could take for a line end, the fields of the hop.
func honest(h wire.Head) error {
	switch {
	case len(h.Values("Content-Length"))+len(h.Values("Transfer-Encoding")) > 1:
		return errors.New("more than one framing")
	case len(h.Values("Host")) != 1:
		return fmt.Errorf("%d Host fields", len(h.Values("Host")))
	case strings.Count(h.Start, " ") != 2:
		return errors.New("request line is not three words")
	case h.Has("Transfer-Encoding") && !strings.HasSuffix(h.Start, "HTTP/1.1"):
		return errors.New("Transfer-Encoding in HTTP/1.0")
	case strings.Count(h.Raw, "\n") != strings.Count(h.Raw, "\r\n"), strings.Count(h.Raw, "\r") != strings.Count(h.Raw, "\r\n"):
		return errors.New("bare CR or LF")
	}
	for _, f := range h.Fields {
		if f.Name == "" || strings.ContainsAny(f.Name, " \t_\x00") || strings.HasPrefix(strings.ToLower(f.Name), "proxy-conn") {
			return fmt.Errorf("field %q", f.Name)
		}
	}
	if strings.ContainsRune(h.Raw, 0) {
		return errors.New("NUL")
	}
	return nil
}
