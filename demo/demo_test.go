package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"

	"holdfast/test/port"
)

// standIn is a proxy of the standard library that follows the demo's
// configuration, with a gauge of its tunnels on the admin address.
type standIn struct {
	page, echo *httputil.ReverseProxy
	tunnels    atomic.Int64
	failed     chan error
}

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/ws" {
		s.page.ServeHTTP(w, r)
		return
	}
	s.tunnels.Add(1)
	defer s.tunnels.Add(-1)
	s.echo.ServeHTTP(w, r)
}

func (s *standIn) status(w http.ResponseWriter, _ *http.Request) {
	fmt.Fprintf(w, `{"version":"v1","uptime_seconds":2.5,"totals":{"tunnels":%d,"upgrades":{"switched":7},"fds":3}}`,
		s.tunnels.Load())
}

func (s *standIn) start(_ context.Context, text string) (*Proxy, error) {
	find := func(pattern string) string {
		found := regexp.MustCompile(pattern).FindStringSubmatch(text)
		if found == nil {
			return ""
		}
		return found[1]
	}
	toward := func(address string) *httputil.ReverseProxy {
		return httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: address})
	}
	s.page = toward(find(`upstream page { server (\S+);`))
	s.echo = toward(find(`upstream echo { server (\S+);`))
	mux := http.NewServeMux()
	mux.HandleFunc("/status", s.status)
	front, err := serve(find(`listen (\S+);`), s)
	if err != nil {
		return nil, err
	}
	admin, err := serve(find(`admin +(\S+);`), mux)
	if err != nil {
		return nil, err
	}
	s.failed = make(chan error, 1)
	return &Proxy{PID: os.Getpid(), Done: s.failed, Stop: func() { _ = front.Close(); _ = admin.Close() }}, nil
}

func serve(address string, handler http.Handler) (*http.Server, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	server := &http.Server{Handler: handler}
	go func() { _ = server.Serve(listener) }()
	return server, nil
}

// running starts the demo and returns its address, and a function that ends it
// and gives Run's error.
func running(t *testing.T, s *standIn) (address string, end func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	out, in := io.Pipe()
	done := make(chan error, 1)
	listen, admin := port.Address(t), port.Address(t)
	go func() {
		err := Run(ctx, Options{Listen: listen, Admin: admin, Start: s.start, Out: in})
		_ = in.CloseWithError(io.ErrClosedPipe)
		done <- err
	}()
	t.Cleanup(cancel)
	line := make([]byte, 200)
	n, err := out.Read(line)
	must(t, err)
	found := regexp.MustCompile(`http://(127\.0\.0\.1:\d+)/ `).FindSubmatch(line[:n])
	if found == nil {
		t.Fatalf("no address in %q", line[:n])
	}
	return string(found[1]), func() error {
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(patience):
			t.Fatal("the demo does not end")
			return nil
		}
	}
}

func call(t *testing.T, method, target string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequest(method, target, nil)
	must(t, err)
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, string(text)
}

// eventually polls /demo/state until ok accepts it.
func eventually(t *testing.T, address, what string, ok func(pageState) bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		var state pageState
		_, body := call(t, http.MethodGet, "http://"+address+"/demo/state")
		must(t, json.Unmarshal([]byte(body), &state))
		if ok(state) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("never %s; the last state: %s", what, body)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func TestDemoOpensAndClosesTunnels(t *testing.T) {
	proxy := &standIn{}
	address, end := running(t, proxy)
	conn, _, err := gorilla.DefaultDialer.Dial("ws://"+address+"/ws", nil)
	must(t, err)
	defer conn.Close()

	if status, body := call(t, http.MethodPost, "http://"+address+"/demo/open?n=40"); status != http.StatusAccepted {
		t.Fatalf("open: %d %s", status, body)
	}
	eventually(t, address, "40 tunnels by the client, 41 in all", func(s pageState) bool {
		return s.Client.Open == 40 && s.Client.Opening == 0 && s.Proxy.Tunnels == 41 && s.Proxy.Reachable &&
			s.Proxy.Upgrades["switched"] == 7 && s.Proxy.MemoryBytes > 0
	})
	if status, body := call(t, http.MethodPost, "http://"+address+"/demo/close"); status != http.StatusOK {
		t.Fatalf("close: %d %s", status, body)
	}
	eventually(t, address, "back to the page's own", func(s pageState) bool {
		return s.Client == fleetState{Max: fleetMax} && s.Proxy.Tunnels == 1
	})
	if err := end(); err != nil {
		t.Errorf("ended by its context: %v", err)
	}
}

func TestDemoNoticesTunnelsCutByOthers(t *testing.T) {
	e, address, err := startEcho()
	must(t, err)
	f := newFleet(address)
	must(t, f.open(5))
	wait := func(open int) {
		t.Helper()
		for deadline := time.Now().Add(patience); f.state().Open != open; time.Sleep(time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("never %d open: %+v", open, f.state())
			}
		}
	}
	wait(5)
	e.stop()
	wait(0)
	must(t, f.open(3)) // nobody listens any more
	for deadline := time.Now().Add(patience); f.state().Failed != 3; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("the failures are not counted: %+v", f.state())
		}
	}
	if state := f.state(); state.Opening != 0 || state.Error == "" {
		t.Errorf("after failures: %+v", state)
	}
}

func TestDemoRefusesBadCalls(t *testing.T) {
	address, _ := running(t, &standIn{})
	base := "http://" + address
	cases := []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/", 200, `id="tunnels"`},
		{"GET", "/demo/config", 200, "proxy_pass http://echo;"},
		{"GET", "/nowhere", 404, ""},
		{"GET", "/demo/open?n=1", 405, ""},
		{"POST", "/demo/open", 400, "must be 1 or more"},
		{"POST", "/demo/open?n=-5", 400, "must be 1 or more"},
		{"POST", "/demo/open?n=many", 400, "must be 1 or more"},
		{"POST", fmt.Sprintf("/demo/open?n=%d", fleetMax+1), 409, "at most"},
	}
	for _, c := range cases {
		if status, body := call(t, c.method, base+c.path); status != c.status || !strings.Contains(body, c.body) {
			t.Errorf("%s %s: %d %q, want %d with %q", c.method, c.path, status, body, c.status, c.body)
		}
	}
	req, err := http.NewRequest(http.MethodPost, base+"/demo/open?n=1", nil)
	must(t, err)
	req.Header.Set("Origin", "https://elsewhere.example")
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden {
		t.Errorf("a POST of another site's page: %s", resp.Status)
	}
}

func TestDemoEndsWithItsProxy(t *testing.T) {
	proxy := &standIn{}
	done := make(chan error, 1)
	out, in := io.Pipe()
	listen, admin := port.Address(t), port.Address(t)
	go func() {
		done <- Run(context.Background(), Options{Listen: listen, Admin: admin, Start: proxy.start, Out: in})
	}()
	_, err := out.Read(make([]byte, 200))
	must(t, err)
	proxy.failed <- io.ErrUnexpectedEOF
	select {
	case err := <-done:
		if err == nil || !strings.Contains(err.Error(), "the proxy ended: unexpected EOF") {
			t.Errorf("got %v", err)
		}
	case <-time.After(patience):
		t.Fatal("the demo runs on without its proxy")
	}
}

func TestFreeAddress(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	got, err := freeAddress(taken.Addr().String(), DefaultListen)
	must(t, err)
	if got == taken.Addr().String() {
		t.Errorf("%s is taken", got)
	}
	for _, bad := range []string{"nonsense", "127.0.0.1:x", "127.0.0.1:70000"} {
		if got, err := freeAddress(bad, DefaultListen); err == nil {
			t.Errorf("%q gave %s", bad, got)
		}
	}
}

func TestPageNeedsNothingFromElsewhere(t *testing.T) {
	for _, id := range strings.Fields("state input send log tunnels open200 open1000 open5000 closeall") {
		if !strings.Contains(string(page), `id="`+id+`"`) {
			t.Errorf("the page has no #%s", id)
		}
	}
	if found := regexp.MustCompile(`(src|href)="?(https?:)?//`).Find(page); found != nil {
		t.Errorf("the page fetches from elsewhere: %s", found)
	}
}
