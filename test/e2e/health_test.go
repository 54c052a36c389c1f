package e2e_test

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"holdfast/test/proc"
)

// patient is a backend whose answer to checks can be changed; other requests and upgrades are
// served whatever it says.
type patient struct {
	*proc.Backend
	status, checks atomic.Int32
	last           atomic.Pointer[string] // the head of the last check
}

func newPatient(t *testing.T, name string, status int32) *patient {
	p := &patient{}
	p.status.Store(status)
	echo := proc.Echo()
	p.Backend = proc.NewBackend(t, func(x *proc.Exchange) {
		switch {
		case x.Head.IsUpgrade():
			echo(x)
		case x.Head.Target() == "/up":
			proc.Answer(int(p.status.Load()), "I am "+name)(x)
			head := x.Head.Start + "|" + x.Head.Get("Host") + "|" + x.Head.Get("User-Agent") + "|" + x.Head.Get("Connection")
			p.last.Store(&head)
			p.checks.Add(1)
			x.Keep = x.Head.Get("Connection") != "close"
		default:
			x.Keep = true
			proc.Answer(200, name)(x)
		}
	})
	return p
}

// another waits for a check that begins from now on to have ended.
func (p *patient) another(t *testing.T) {
	t.Helper()
	before := p.checks.Load()
	proc.Until(t, "two more checks", func() error {
		if n := p.checks.Load(); n < before+2 {
			return fmt.Errorf("%d, before %d", n, before)
		}
		return nil
	})
}

// answerers counts who answers so many requests.
func answerers(t *testing.T, p *proc.Proxy, times int) map[string]int {
	t.Helper()
	count := map[string]int{}
	for range times {
		c := proc.Dial(t, p.Front())
		head := c.Send(get("/")).Head()
		count[fmt.Sprint(head.Status())+" "+string(c.Body(head))]++
		c.Close()
	}
	return count
}

// answered waits until it is these who answer, and no others.
func answered(t *testing.T, p *proc.Proxy, who ...string) {
	t.Helper()
	proc.Until(t, "answers of "+strings.Join(who, " and "), func() error {
		got := answerers(t, p, 6)
		for _, name := range who {
			if got[name] == 0 {
				return fmt.Errorf("answers %v", got)
			}
		}
		if len(got) != len(who) {
			return fmt.Errorf("answers %v", got)
		}
		return nil
	})
}

// healthOf reads what /status says about a peer.
func healthOf(t *testing.T, p *proc.Proxy, peer string) (h struct {
	State                    string
	Checks, Fails, Unhealthy int
	LastPassed               bool `json:"last_passed"`
}) {
	t.Helper()
	client := &http.Client{Timeout: proc.Patience, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://" + p.Admin() + "/status")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var status struct {
		Upstreams []struct {
			Name      string
			Available bool
			Health    json.RawMessage
		}
	}
	if err := json.NewDecoder(resp.Body).Decode(&status); err != nil {
		t.Fatal(err)
	}
	for _, u := range status.Upstreams {
		if u.Name == peer && u.Health != nil {
			if err := json.Unmarshal(u.Health, &h); err != nil {
				t.Fatal(err)
			}
			if u.Available != (h.State == "up") {
				t.Errorf("%s is %s and available: %v", peer, h.State, u.Available)
			}
		}
	}
	return h
}

const healthServers = `
	match good { status 200-399; status ! 399; header Content-Length; header ! X-Down; body ~ "^I am"; body !~ maintenance; }
	upstream u { zone u 64k; server {{a}}; server {{b}} slow_start=1s; }
	server {
		listen 127.0.0.1:{{port:front}};
		location / { proxy_pass http://u; proxy_read_timeout 20s; proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;
			proxy_set_header Host $proxy_host; health_check uri=/up interval=50ms jitter=5ms match=good {{more}}; }
	}`

// A server that fails its checks gets no requests until it passes; the tunnels it has live on.
func TestHealthCheck(t *testing.T) {
	a, b := newPatient(t, "a", 200), newPatient(t, "b", 200)
	p := holdfast(t, proc.Spec{HTTP: healthServers, Vars: vars("a", a.Addr, "b", b.Addr, "more", "fails=2 passes=2")})
	answered(t, p, "200 a", "200 b")
	var tunnels []*proc.Raw
	for range 4 {
		c := proc.Dial(t, p.Front())
		c.Handshake("ws.test", "/ws")
		c.EchoText("before")
		tunnels = append(tunnels, c)
	}
	b.status.Store(503)
	noted(t, p, `peer is unhealthy while checking status code, health check "good" of peer `+b.Addr+` in upstream "u"`)
	answered(t, p, "200 a")
	if h := healthOf(t, p, b.Addr); h.State != "unhealthy" || h.Checks < h.Fails || h.Fails < 2 || h.Unhealthy != 1 || h.LastPassed {
		t.Errorf("/status says %+v", h)
	}
	if h := healthOf(t, p, a.Addr); h.State != "up" || h.Checks == 0 || h.Fails != 0 || h.Unhealthy != 0 || !h.LastPassed {
		t.Errorf("/status says %+v of the other", h)
	}
	labels := `{peer="` + b.Addr + `",upstream="u"}`
	metrics := p.Metrics(t)
	for name, want := range map[string]bool{
		"peer_healthy": false, "peer_available": false, "peer_health_last_passed": false, "peer_unhealthy_total": true,
		"peer_health_checks_total": true, "peer_health_check_fails_total": true,
	} {
		if value, known := metrics["holdfast_"+name+labels]; !known || (value > 0) != want {
			t.Errorf("%s is %v", name, value)
		}
	}
	equal(t, "tunnels", p.Status(t).Totals.Tunnels, 4)
	for _, c := range tunnels {
		c.EchoText("after")
		sound(t, c)
		c.Close()
	}
	b.status.Store(200)
	noted(t, p, `[notice]`)
	answered(t, p, "200 a", "200 b")
	equal(t, "a check", *b.last.Load(), "GET /up HTTP/1.1|u|"+agent(*b.last.Load())+"|close")
}

// agent is the part of a check's head that has the version in it.
func agent(head string) string {
	name := strings.Split(head, "|")[2]
	if !strings.HasPrefix(name, "holdfast/") || !strings.HasSuffix(name, " (health check)") {
		return "holdfast/… (health check)"
	}
	return name
}

// mandatory: no request goes to a server that has not passed.
func TestHealthCheckMandatory(t *testing.T) {
	a, b := newPatient(t, "a", 500), newPatient(t, "b", 500)
	p := holdfast(t, proc.Spec{HTTP: healthServers, Vars: vars("a", a.Addr, "b", b.Addr, "more", "mandatory keepalive_time=1h")})
	for range 10 {
		c := proc.Dial(t, p.Front())
		c.Send(get("/")).Response(502)
		c.Close()
	}
	noted(t, p, "no live upstreams while connecting to upstream")
	a.status.Store(200)
	answered(t, p, "200 a")
	b.another(t)
	for _, x := range b.Seen() {
		if x.Head.Target() != "/up" {
			t.Fatalf("a server that never passed got %s", x.Head.Start)
		}
	}
	b.status.Store(200)
	answered(t, p, "200 a", "200 b")
	// With keepalive_time the checks share a connection: the others are of requests.
	before, asked := a.Connections(), len(a.Seen())
	a.another(t)
	a.another(t)
	if now := a.Connections(); now != before || len(a.Seen()) == asked {
		t.Errorf("%d connections, before %d", now, before)
	}
	a.CloseConnections() // which says nothing about the server
	a.another(t)
	if h := healthOf(t, p, a.Addr); h.Unhealthy != 1 || h.State != "up" {
		t.Errorf("%+v after the connections were closed", h)
	}
	p.Stop(t, 15)
}

// Nobody listens, then somebody does; a backup takes over meanwhile.
func TestHealthCheckDeadServer(t *testing.T) {
	b := newPatient(t, "b", 200)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := ln.Addr().String()
	ln.Close()
	p := holdfast(t, proc.Spec{Vars: vars("a", address, "b", b.Addr), HTTP: `
		upstream u { server {{a}}; server {{b}} backup; }
		server { listen 127.0.0.1:{{port:front}};
			location / { proxy_pass http://u; health_check interval=50ms uri=/up; } }`})
	noted(t, p, `connect() failed (111: Connection refused) while connecting to upstream, health check "" of peer `+address+` in upstream "u"`)
	noted(t, p, `peer is unhealthy while connecting to upstream, health check "" of peer `+address+` in upstream "u"`)
	answered(t, p, "200 b")
	first := proc.NewBackendAt(t, address, proc.Answer(200, "a"))
	answered(t, p, "200 a")
	first.Close()
	answered(t, p, "200 b")
}

// serveSecured answers requests over TLS; clients that break the handshake off are no failure.
func serveSecured(t *testing.T, config *tls.Config) (address string) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{
		Handler:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("in")) }),
		TLSConfig: config, ErrorLog: log.New(io.Discard, "", 0),
	}
	go func() { _ = s.ServeTLS(ln, "", "") }()
	t.Cleanup(func() { s.Close() })
	return ln.Addr().String()
}

// Checks speak TLS as requests do, with the location's proxy_ssl_ directives.
func TestHealthCheckTLS(t *testing.T) {
	id := certify(t, "a.test", "b.test")
	good, wrong := serveSecured(t, id.server("a.test")), serveSecured(t, id.server("b.test"))
	p := holdfast(t, proc.Spec{Vars: vars("good", good, "wrong", wrong, "pki", id.dir), HTTP: `
		upstream u { server {{good}}; server {{wrong}}; }
		server { listen 127.0.0.1:{{port:front}};
			location / { proxy_pass https://u; proxy_ssl_verify on; proxy_ssl_trusted_certificate {{pki}}/root.pem;
				proxy_ssl_name a.test; proxy_ssl_server_name on; proxy_set_header Host a.test; health_check interval=50ms mandatory; } }`})
	answered(t, p, "200 in")
	noted(t, p, `upstream SSL certificate does not match "a.test" while SSL handshaking to upstream, health check "" of peer `+wrong)
	noted(t, p, `peer is unhealthy while SSL handshaking to upstream`)
	equal(t, "the state", healthOf(t, p, wrong).State, "unhealthy")
	equal(t, "the state", healthOf(t, p, good).State, "up")
}

// In stream: what is sent and must come back, and the time it may take.
func TestStreamHealthCheck(t *testing.T) {
	var ill, checks atomic.Int32
	serve := func(name string, ill *atomic.Int32) *rawServer {
		return serveRaw(t, func(c *proc.Raw) error {
			first, err := c.Reader().Peek(1)
			if err != nil {
				return nil //nolint:nilerr // a check that only connects
			}
			if first[0] != 'P' {
				return errors.Join(sayRaw(name)(c))
			}
			c.Expect("PING\r\n\xff")
			switch ill.Load() {
			case 0:
				c.Send("+PO")
				c.Send("NG\xfe\r\n")
			case 1:
				c.Send("-LOADING\r\n")
			default:
				_, _ = c.Reader().Peek(1) // until the other side gives up
			}
			checks.Add(1)
			return nil
		})
	}
	a, b := serve("a", &atomic.Int32{}), serve("b", &ill)
	p := holdfastStreams(t, `
		match redis { send PING\x0d\x0a\xff; expect ~* "^\+pong\xfe"; }
		upstream u { server {{a}}; server {{b}}; }
		health_check_timeout 200ms;
		server { listen 127.0.0.1:{{port:front}}; proxy_pass u; health_check match=redis interval=50ms; }`,
		vars("a", a.addr, "b", b.addr))
	goes := func(want ...string) {
		t.Helper()
		proc.Until(t, "streams to "+strings.Join(want, ", "), func() error {
			got := map[string]bool{}
			for range 6 {
				c := proc.Try(p.Front())
				c.Send("x")
				got[string(c.Read(1))] = true
				c.Close()
				if err := c.Err(); err != nil {
					return err
				}
			}
			for _, name := range want {
				if !got[name] {
					return fmt.Errorf("%v", got)
				}
			}
			if len(got) != len(want) {
				return fmt.Errorf("%v", got)
			}
			return nil
		})
	}
	goes("a", "b")
	ill.Store(1)
	noted(t, p, `peer is unhealthy while checking data, health check "redis" of peer `+b.addr+` in upstream "u"`)
	goes("a")
	ill.Store(0)
	goes("a", "b")
	ill.Store(2)
	noted(t, p, `upstream timed out (110: Connection timed out) while reading upstream, health check "redis" of peer `+b.addr)
	goes("a")
}

// A reload: what is known about servers holds on; one that was healthy goes on with persistent,
// and has to pass anew with mandatory alone. Tunnels live on.
func TestHealthCheckReload(t *testing.T) {
	a, b := newPatient(t, "a", 200), newPatient(t, "b", 503)
	spec := func(more string) proc.Spec {
		return proc.Spec{HTTP: healthServers, Vars: vars("a", a.Addr, "b", b.Addr, "more", more)}
	}
	p := holdfast(t, spec(""))
	noted(t, p, "peer is unhealthy")
	answered(t, p, "200 a")
	c := proc.Dial(t, p.Front())
	c.Handshake("ws.test", "/ws")
	p.Reload(t, spec(""))
	for range 3 {
		if got := answerers(t, p, 6); got["200 a"] != 6 {
			t.Errorf("after a reload: %v", got)
		}
	}
	a.status.Store(500) // no check of it can pass from now on
	answered(t, p, "502 "+badGateway(t, p))
	a.status.Store(200)
	answered(t, p, "200 a")
	p.Reload(t, spec("mandatory persistent"))
	for range 3 {
		if got := answerers(t, p, 6); got["200 a"] != 6 {
			t.Errorf("after a reload with persistent: %v", got)
		}
	}
	b.status.Store(200)
	p.Reload(t, spec("mandatory"))
	answered(t, p, "200 a", "200 b")
	p.Reload(t, proc.Spec{HTTP: strings.Replace(healthServers, "health_check uri=/up interval=50ms jitter=5ms match=good {{more}};", "", 1),
		Vars: vars("a", a.Addr, "b", b.Addr)})
	a.status.Store(500)
	b.status.Store(500)
	checks := a.checks.Load() + b.checks.Load()
	if got := answerers(t, p, 6); got["200 a"] == 0 || got["200 b"] == 0 {
		t.Errorf("without checks: %v", got)
	}
	if now := a.checks.Load() + b.checks.Load(); now > checks+2 { // those under way
		t.Errorf("%d checks more after the reload without", now-checks)
	}
	if h := healthOf(t, p, a.Addr); h.State != "" {
		t.Errorf("/status says %+v without checks", h)
	}
	c.EchoText("still here")
	sound(t, c)
	c.Close()
}

// badGateway is the body of a 502.
func badGateway(t *testing.T, p *proc.Proxy) string {
	t.Helper()
	var body string
	proc.Until(t, "a 502", func() error {
		c := proc.Dial(t, p.Front())
		defer c.Close()
		head := c.Send(get("/")).Head()
		if body = string(c.Body(head)); head.Status() != 502 {
			return fmt.Errorf("status %d", head.Status())
		}
		return nil
	})
	return body
}
