package admin

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"

	"holdfast/observe"
)

// fakeSource has two shards with known numbers.
type fakeSource struct {
	shards   [2]observe.Counters
	draining bool
}

func newFakeSource() *fakeSource {
	f := &fakeSource{}
	a, b := &f.shards[0], &f.shards[1]
	a.Sessions[1], a.Sessions[8], b.Sessions[8] = 1, 3, 4
	a.Tunnels, b.Tunnels = 3, 4
	a.Accepted, b.Accepted = 10, 20
	a.Responses[1], b.Responses[5] = 7, 2
	a.Upgrades[observe.OutcomeSwitched], b.Upgrades[observe.OutcomeRefused] = 7, 1
	a.TunnelCloses[observe.ReasonReset][observe.SideClient] = 5
	b.TunnelCloses[observe.ReasonReset][observe.SideClient] = 6
	b.SessionCloses[observe.ReasonHeadTimeout][observe.SideClient] = 2
	a.TunnelBytesUp, b.TunnelBytesDown = 100, 200
	a.Requested, b.PipesOut = 1, 2
	return f
}

func (f *fakeSource) Counters() []observe.Counters {
	return append([]observe.Counters(nil), f.shards[:]...)
}

func (f *fakeSource) Info() Info {
	return Info{
		Version: "v1", Pid: 17, StartTime: time.Now().Add(-time.Hour), Shards: 2,
		SessionsMax: 1000, FdsMax: 4000, ConfigPath: "nginx.conf", Draining: f.draining,
		StateNames: []string{"free", "read_head", "", "", "", "", "", "", "tunnel"},
		Peers: []PeerInfo{
			{Group: "chat", Name: "127.0.0.1:1", Tunnels: 7, Connections: 8, Requests: 9, Fails: 1, Available: true},
			{Group: "chat", Name: "127.0.0.1:1", Tunnels: 7},
			{Group: "bad\xff", Name: "unix:/run/b"},
		},
	}
}

// startServer serves on the listener until the test ends.
func startServer(t *testing.T, listener net.Listener, source Source) {
	t.Helper()
	s := New(Options{Listener: listener, Source: source, Logs: NewLogs(io.Discard)})
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), testDeadline)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	listener, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return listener
}

// client speaks to one address, whatever the URL says.
func client(t *testing.T, addr net.Addr) *http.Client {
	transport := &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, addr.Network(), addr.String())
		},
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: testDeadline}
}

func request(t *testing.T, c *http.Client, r *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(body)
}

func get(t *testing.T, c *http.Client, path string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(http.MethodGet, "http://127.0.0.1"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return request(t, c, r)
}

func TestStatus(t *testing.T) {
	listener := listen(t, "tcp", "127.0.0.1:0")
	source := newFakeSource()
	startServer(t, listener, source)
	resp, body := get(t, client(t, listener.Addr()), "/status")
	if resp.StatusCode != 200 || resp.Header.Get("Content-Type") != "application/json" {
		t.Fatalf("status %s, type %s", resp.Status, resp.Header.Get("Content-Type"))
	}
	var got status
	decoder := json.NewDecoder(strings.NewReader(body))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&got); err != nil {
		t.Fatal(err)
	}
	switch {
	case got.Version != "v1" || got.Pid != 17 || got.Config != "nginx.conf" || got.State != "running":
		t.Errorf("head of the status: %+v", got)
	case got.Uptime < 3600 || got.Fds < 3 || got.FdsMax != 4000 || got.SessionsMax != 1000:
		t.Errorf("uptime %v, fds %d of %d, sessions_max %d", got.Uptime, got.Fds, got.FdsMax, got.SessionsMax)
	case got.Memory.RSS == 0 || got.Memory.PSS == 0 || got.Memory.PSS > got.Memory.RSS || got.Memory.Heap == 0:
		t.Errorf("memory %+v", got.Memory)
	case len(got.Shards) != 2 || got.Shards[0].Tunnels != 3 || got.Shards[1].Tunnels != 4:
		t.Errorf("shards %+v", got.Shards)
	case len(got.Upstreams) != 3 || got.Upstreams[0].Tunnels != 7 || !got.Upstreams[0].Available:
		t.Errorf("upstreams %+v", got.Upstreams)
	}
	for _, want := range []string{
		`"read_head": 1`, `"tunnel": 7`, `"tunnels": 7`, `"accepted": 30`, `"1xx": 7`, `"5xx": 2`, `"switched": 7`,
		`"refused": 1`, `"gone": 0`, `"tunnel_bytes_up": 100`, `"tunnel_bytes_down": 200`, `"pipes_out": 2`,
		`"requests_out": 1`, `"upstream_connect_fails": 0`, `"accept_errors": 0`, `"rss_bytes"`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the status lacks %s", want)
		}
	}
	if c := got.Totals.TunnelCloses; len(c) != 1 || c[0] != (closes{"reset", "client", 11}) {
		t.Errorf("tunnel closes %+v", c)
	}
	if c := got.Totals.SessionCloses; len(c) != 1 || c[0] != (closes{"head_timeout", "client", 2}) {
		t.Errorf("session closes %+v", c)
	}
}

func TestReadiness(t *testing.T) {
	for _, test := range []struct {
		draining bool
		path     string
		status   int
		body     string
	}{
		{false, "/healthz", 200, "ok\n"},
		{false, "/readyz", 200, "ready\n"},
		{true, "/healthz", 200, "ok\n"},
		{true, "/readyz", 503, "draining\n"},
		{true, "/status", 200, `"state": "draining"`},
		{false, "/", 404, "/metrics"},
		{false, "/etc", 404, "/status"},
	} {
		listener := listen(t, "tcp", "127.0.0.1:0")
		source := newFakeSource()
		source.draining = test.draining
		startServer(t, listener, source)
		resp, body := get(t, client(t, listener.Addr()), test.path)
		if resp.StatusCode != test.status || !strings.Contains(body, test.body) {
			t.Errorf("%s, draining %v: %s %q", test.path, test.draining, resp.Status, body)
		}
	}
}

func TestMetrics(t *testing.T) {
	listener := listen(t, "tcp", "127.0.0.1:0")
	startServer(t, listener, newFakeSource())
	resp, body := get(t, client(t, listener.Addr()), "/metrics")
	if resp.StatusCode != 200 {
		t.Fatalf("%s: %s", resp.Status, body)
	}
	for _, want := range []string{
		`holdfast_build_info{version="v1"} 1`,
		`holdfast_sessions{state="read_head"} 1`,
		`holdfast_sessions{state="tunnel"} 7`,
		`holdfast_tunnels 7`,
		`holdfast_accepted_connections_total 30`,
		`holdfast_responses_total{class="1xx"} 7`,
		`holdfast_upgrades_total{outcome="switched"} 7`,
		`holdfast_upgrades_total{outcome="gone"} 0`,
		`holdfast_tunnel_closes_total{reason="reset",side="client"} 11`,
		`holdfast_session_closes_total{reason="head_timeout",side="client"} 2`,
		`holdfast_tunnel_bytes_total{direction="up"} 100`,
		`holdfast_shard_tunnels{shard="1"} 4`,
		`holdfast_peer_tunnels{peer="127.0.0.1:1",upstream="chat"} 7`,
		`holdfast_peer_available{peer="unix:/run/b",upstream="bad?"} 0`,
		`holdfast_pipes 2`,
		`holdfast_draining 0`,
		"# HELP holdfast_tunnels Upgraded connections",
		"process_open_fds ",
		"go_goroutines ",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the metrics lack %s", want)
		}
	}
	problems, err := promlint.New(strings.NewReader(body)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "holdfast_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// The pedantic registry checks that what is sent was described, and sent once.
func TestCollectorIsConsistent(t *testing.T) {
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(newCollector(&Server{source: newFakeSource()}))
	if _, err := registry.Gather(); err != nil {
		t.Error(err)
	}
}

// Metrics and status are made while the shards go on; nothing is shared.
func TestConcurrentScrapes(t *testing.T) {
	listener := listen(t, "tcp", "127.0.0.1:0")
	startServer(t, listener, newFakeSource())
	c := client(t, listener.Addr())
	results := make(chan int)
	const scrapes = 16
	for i := range scrapes {
		go func() {
			resp, err := c.Get("http://127.0.0.1/" + []string{"metrics", "status"}[i%2])
			if err != nil {
				results <- 0
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			results <- resp.StatusCode
		}()
	}
	for range scrapes {
		if code := <-results; code != 200 && code != 503 {
			t.Errorf("status %d", code)
		}
	}
}

func TestGuard(t *testing.T) {
	listener := listen(t, "tcp", "127.0.0.1:0")
	startServer(t, listener, newFakeSource())
	c := client(t, listener.Addr())
	own := "http://" + listener.Addr().String()
	for _, test := range []struct {
		name   string
		method string
		host   string
		header map[string]string
		status int
	}{
		{"program", "GET", "127.0.0.1:9180", nil, 200},
		{"HEAD", "HEAD", "127.0.0.1", nil, 200},
		{"IPv6", "GET", "[::1]:9180", nil, 200},
		{"IPv6 without port", "GET", "[::1]", nil, 200},
		{"localhost", "GET", "LocalHost:9180", nil, 200},
		{"rebound name", "GET", "evil.example:9180", nil, 403},
		{"name that looks local", "GET", "localhost.evil.example", nil, 403},
		{"name that looks like an address", "GET", "127.0.0.1.evil.example", nil, 403},
		{"POST", "POST", "127.0.0.1", nil, 405},
		{"preflight", "OPTIONS", "127.0.0.1", map[string]string{"Origin": "https://evil.example"}, 405},
		{"script of another origin", "GET", "127.0.0.1", map[string]string{"Origin": "https://evil.example"}, 403},
		{"opaque origin", "GET", "127.0.0.1", map[string]string{"Origin": "null"}, 403},
		{"another port", "GET", "127.0.0.1:1", map[string]string{"Origin": "http://127.0.0.1:2"}, 403},
		{"own origin", "GET", listener.Addr().String(), map[string]string{"Origin": own}, 200},
		{"image", "GET", "127.0.0.1", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, 403},
		{"link", "GET", "127.0.0.1", map[string]string{
			"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}, 200},
		{"frame", "GET", "127.0.0.1", map[string]string{
			"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}, 403},
		{"typed address", "GET", "127.0.0.1", map[string]string{"Sec-Fetch-Site": "none"}, 200},
	} {
		t.Run(test.name, func(t *testing.T) {
			r, err := http.NewRequest(test.method, own+"/status", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Host = test.host
			for name, value := range test.header {
				r.Header.Set(name, value)
			}
			resp, body := request(t, c, r)
			if resp.StatusCode != test.status {
				t.Errorf("%s, want %d: %s", resp.Status, test.status, body)
			}
			if resp.StatusCode != 200 && test.method != "HEAD" && !strings.HasSuffix(body, "\n") {
				t.Errorf("refused without a text: %q", body)
			}
			for name := range resp.Header {
				if strings.HasPrefix(name, "Access-Control") {
					t.Errorf("the answer has %s", name)
				}
			}
		})
	}
}

func TestUnixListener(t *testing.T) {
	listener := listen(t, "unix", filepath.Join(t.TempDir(), "admin.sock"))
	startServer(t, listener, newFakeSource())
	r, err := http.NewRequest(http.MethodGet, "http://any.name/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, body := request(t, client(t, listener.Addr()), r); resp.StatusCode != 200 {
		t.Errorf("%s %s", resp.Status, body)
	}
}

func TestLimitListener(t *testing.T) {
	inner := listen(t, "tcp", "127.0.0.1:0")
	limited := newLimitListener(inner, 1)
	accepted := make(chan net.Conn)
	ended := make(chan error, 1)
	go func() {
		for {
			conn, err := limited.Accept()
			if err != nil {
				ended <- err
				return
			}
			accepted <- conn
		}
	}()
	var clients []net.Conn
	for range 2 {
		conn, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, conn)
	}
	first := <-accepted
	if n := len(limited.slots); n != 1 {
		t.Fatalf("%d slots are taken, want 1", n)
	}
	first.Close()
	first.Close() // frees its slot once only
	second := <-accepted
	if len(limited.slots) != 1 {
		t.Fatal("the slot of a closed connection was not freed once")
	}
	// The next Accept waits for a slot; Close ends that wait.
	if err := limited.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept after close: %v", err)
	}
	second.Close()
	for _, c := range clients {
		c.Close()
	}
}

// A client that never finishes its head holds up neither others nor the stop.
func TestSilentClients(t *testing.T) {
	listener := listen(t, "tcp", "127.0.0.1:0")
	s := New(Options{Listener: listener, Source: newFakeSource()})
	served := make(chan error, 1)
	go func() { served <- s.Serve() }()
	for range 10 {
		conn, err := net.Dial("tcp", listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, "GET /status HTTP/1.1\r\nHos"); err != nil {
			t.Fatal(err)
		}
	}
	if resp, _ := get(t, client(t, listener.Addr()), "/healthz"); resp.StatusCode != 200 {
		t.Error(resp.Status)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("shutdown with a past deadline: %v", err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}
