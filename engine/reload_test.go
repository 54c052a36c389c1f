package engine

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/internal/sys"
	"holdfast/route"
)

// rewrite replaces the configuration.
func (c *child) rewrite(t *testing.T, text string) {
	t.Helper()
	text = fill("worker_processes 1;\npid DIR/run/holdfast.pid;\n"+text, c.dir, c.front)
	next := filepath.Join(c.dir, "next.conf")
	must(t, os.WriteFile(next, []byte(text), 0o644))
	must(t, os.Rename(next, filepath.Join(c.dir, "nginx.conf")))
}

// reload replaces the configuration, has it read, and waits for the end of that.
func (c *child) reload(t *testing.T, text string) *ReloadState {
	t.Helper()
	c.rewrite(t, text)
	pid := c.dir + "/run/holdfast.pid"
	before, err := ReadState(pid)
	must(t, err)
	c.signal(t, syscall.SIGHUP)
	var after *ReloadState
	until(t, "the end of the reload", func() bool {
		after, err = ReadState(pid)
		must(t, err)
		return after.Finished > before.Started
	})
	return after
}

// mustReload is reload for a configuration without problems.
func (c *child) mustReload(t *testing.T, text string) {
	t.Helper()
	if s := c.reload(t, text); !s.OK || len(s.Problems) > 0 {
		t.Fatalf("reload: %+v", s)
	}
}

// backend answers with name, holds /slow until release is closed, and echoes what is upgraded.
func backend(t *testing.T, name string, release <-chan struct{}) (address string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			if r.URL.Path == "/slow" {
				<-release
			}
			_, _ = io.WriteString(w, name)
			return
		}
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n")
		_, _ = io.Copy(conn, buffered)
	}))
	t.Cleanup(func() {
		s.CloseClientConnections()
		s.Close()
	})
	return s.Listener.Addr().String()
}

// tunnel is a client's end of an upgraded connection.
type tunnel struct {
	conn net.Conn
	in   *bufio.Reader
}

func openTunnel(t *testing.T, address string) *tunnel {
	t.Helper()
	k := openConn(t, address)
	if status, _ := k.ask(t, "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"); status != 101 {
		t.Fatalf("status %d", status)
	}
	return k
}

func openConn(t *testing.T, address string) *tunnel {
	t.Helper()
	conn := dial(t, address)
	must(t, conn.SetDeadline(time.Now().Add(2*patience)))
	return &tunnel{conn: conn, in: bufio.NewReader(conn)}
}

// ask sends a request and reads the answer.
func (k *tunnel) ask(t *testing.T, request string) (status int, body string) {
	t.Helper()
	_, err := io.WriteString(k.conn, request)
	must(t, err)
	return k.answer(t)
}

func (k *tunnel) answer(t *testing.T) (status int, body string) {
	t.Helper()
	resp, err := http.ReadResponse(k.in, nil)
	must(t, err)
	if resp.StatusCode == 101 {
		return 101, ""
	}
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.Close {
		body = " (last)"
	}
	return resp.StatusCode, string(text) + body
}

// echoes proves that a tunnel lives.
func (k *tunnel) echoes(t *testing.T) {
	t.Helper()
	const frame = "\x81\x84\x00\x00\x00\x00ping"
	_, err := io.WriteString(k.conn, frame)
	must(t, err)
	got := make([]byte, len(frame))
	if _, err := io.ReadFull(k.in, got); string(got) != frame {
		t.Fatalf("%q, %v", got, err)
	}
}

// ends waits for the end of the connection, before which a tunnel may get a close frame.
func (k *tunnel) ends(t *testing.T) {
	t.Helper()
	if rest, err := io.ReadAll(k.in); err != nil || len(rest) > 0 && rest[0] != 0x88 {
		t.Errorf("read %q, %v; want the end", rest, err)
	}
}

const getKeep = "GET / HTTP/1.1\r\nHost: a\r\n\r\n"

const logConf = "error_log DIR/logs/error.log notice;\nadmin unix:DIR/admin.sock;\n"

func TestReload(t *testing.T) {
	a, b := backend(t, "a", nil), backend(t, "b", nil)
	other := freeAddress(t).String()
	conf := func(listen, to, more string) string {
		return logConf + "http { access_log off; server { listen " + listen + "; location / { proxy_pass http://" + to + "; } " + more + "} }"
	}
	c := start(t, conf("FRONT", a, ""))
	kept, tunnel := openConn(t, c.front), openTunnel(t, c.front)
	if _, body := kept.ask(t, getKeep); body != "a" {
		t.Fatalf("answer %q", body)
	}
	c.mustReload(t, conf("FRONT; listen "+other, b, "location /new { return 200 new; }"))
	if _, body := kept.ask(t, getKeep); body != "b" {
		t.Errorf("a connection of before: %q", body)
	}
	if _, body := c.get(t, "tcp", other, "/new"); body != "new" {
		t.Errorf("the new listener: %q", body)
	}
	tunnel.echoes(t)
	c.mustReload(t, conf(other, b, ""))
	kept.ends(t)
	tunnel.echoes(t)
	if _, err := net.Dial("tcp", c.front); err == nil {
		t.Error("the listener that is gone takes connections")
	}
	c.mustReload(t, conf("FRONT", a, ""))
	if _, body := c.get(t, "tcp", c.front, "/"); body != "a" {
		t.Errorf("a listener that is back: %q", body)
	}
	tunnel.echoes(t)
	var status struct {
		Configuration struct{ Generation, Reloads int }
	}
	_, body := c.get(t, "unix", c.dir+"/admin.sock", "/status")
	must(t, json.Unmarshal([]byte(body), &status))
	if status.Configuration.Generation != 4 || status.Configuration.Reloads != 3 {
		t.Errorf("status %+v", status)
	}
}

// A configuration with errors, and one whose addresses or files can't be had, change nothing.
func TestReloadOfBadConfiguration(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer taken.Close()
	c := start(t, logConf+"http { server { listen FRONT; return 200 first; } }")
	for text, want := range map[string]string{
		"http { server { listen FRONT; retrun 200; } }":                                                    "nginx.conf:5:",
		"http { server { listen FRONT; return 200 $nosuch; } }":                                            "nosuch",
		"http { server { listen FRONT; listen " + taken.Addr().String() + "; return 200 second; } }":       "address already in use",
		"http { access_log DIR/nginx.conf/access.log; server { listen FRONT; return 200 second; } }":       "not a directory",
		"http { server { listen FRONT ssl; ssl_certificate DIR/no; ssl_certificate_key DIR/no; } }":        "no such file",
		"error_log DIR/nginx.conf/error.log;\nhttp { server { listen FRONT; return 200 second; } }":        "not a directory",
		"http { server { listen FRONT; location / { proxy_pass http://[::1]:99999; } } }":                  "99999",
		"http { upstream u { server 127.0.0.1:1 weight=0; } server { listen FRONT; return 200 second; } }": "weight",
	} {
		s := c.reload(t, logConf+text)
		if problems := strings.Join(s.Problems, "\n"); s.OK || s.Generation != 1 || !strings.Contains(strings.ToLower(problems), want) {
			t.Errorf("%s: %+v", text, s)
		}
		if _, body := c.get(t, "tcp", c.front, "/"); body != "first" {
			t.Errorf("%s: now the answer is %q", text, body)
		}
	}
	if !strings.Contains(read(c.dir+"/logs/error.log"), "the configuration stays as it was") {
		t.Error("the error log does not tell")
	}
}

// What can't change while the process runs stays, with a warning; the rest changes.
func TestReloadOfFixedValues(t *testing.T) {
	c := start(t, logConf+"events { worker_connections 64; } http { server { listen FRONT; return 200 first; } }")
	s := c.reload(t, logConf+"worker_rlimit_nofile 4096; tunnels_min 7;\nevents { worker_connections 65; ssl_ktls on; listen_steering cpu; }\n"+
		"http { server { listen FRONT; return 200 second; } }")
	text := strings.Join(s.Problems, "\n")
	for _, directive := range []string{"worker_rlimit_nofile", "tunnels_min", "worker_connections", "ssl_ktls", "listen_steering"} {
		if !strings.Contains(text, directive+" takes effect at the next start") {
			t.Errorf("%s is not warned about: %s", directive, text)
		}
	}
	if _, body := c.get(t, "tcp", c.front, "/"); !s.OK || body != "second" {
		t.Errorf("answer %q, %+v", body, s)
	}
}

// A request in flight has the configuration that it began with, and is the last one on its
// connection if its listener is gone.
func TestReloadUnderRequest(t *testing.T) {
	release := make(chan struct{})
	a := backend(t, "a", release)
	other := freeAddress(t).String()
	conf := func(listen, more string) string {
		return logConf + "http { server { listen " + listen + "; add_header X-Conf " + more + "; location / { proxy_pass http://" + a + "; } } }"
	}
	c := start(t, conf("FRONT", "one"))
	stays := openConn(t, c.front)
	_, err := io.WriteString(stays.conn, "GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
	must(t, err)
	half := openConn(t, c.front)
	_, err = io.WriteString(half.conn, "GET / HTT")
	must(t, err)
	until(t, "both", func() bool {
		_, body := c.get(t, "unix", c.dir+"/admin.sock", "/metrics")
		return strings.Contains(body, `holdfast_sessions{state="readresp"} 1`) && strings.Contains(body, `holdfast_sessions{state="readhead"} 1`)
	})
	c.mustReload(t, conf(other, "two"))
	if status, body := half.ask(t, "P/1.1\r\nHost: a\r\n\r\n"); status != 200 || body != "a (last)" {
		t.Errorf("a half request: %d %q", status, body)
	}
	half.ends(t)
	close(release)
	if status, body := stays.answer(t); status != 200 || body != "a (last)" {
		t.Errorf("the request in flight: %d %q", status, body)
	}
	stays.ends(t)
}

// A listener that becomes another kind of listener is a new one at the same socket.
func TestReloadChangesKindOfListener(t *testing.T) {
	a := backend(t, "a", nil)
	httpConf := logConf + "http { server { listen FRONT; listen unix:DIR/front.sock; location / { proxy_pass http://" + a + "; } } }"
	streamConf := logConf + "stream { server { listen FRONT; listen unix:DIR/front.sock; proxy_pass " + a + "; } }"
	c := start(t, httpConf)
	idle, tunnel := openConn(t, c.front), openTunnel(t, c.front)
	idle.ask(t, getKeep)
	for range 3 {
		c.mustReload(t, streamConf)
		for _, at := range [][2]string{{"tcp", c.front}, {"unix", c.dir + "/front.sock"}} {
			if status, body := c.get(t, at[0], at[1], "/"); status != 200 || body != "a" {
				t.Errorf("stream: %d %q", status, body)
			}
		}
		tunnel.echoes(t)
		c.mustReload(t, httpConf)
		if status, body := c.get(t, "unix", c.dir+"/front.sock", "/"); status != 200 || body != "a" {
			t.Errorf("http: %d %q", status, body)
		}
	}
	idle.ends(t)
	tunnel.echoes(t)
	c.mustReload(t, logConf+"http { server { listen FRONT; return 204; } }")
	if _, err := os.Stat(c.dir + "/front.sock"); err == nil {
		t.Error("the file of the unix socket that is gone is there")
	}
	c.signal(t, syscall.SIGTERM)
	c.end(t, 0)
	if left, _ := filepath.Glob(c.dir + "/run/*"); len(left) > 0 {
		t.Errorf("left in run: %v", left)
	}
}

// The tunnels to a peer that left end as tunnels says, and those to others live.
func TestReloadRemovesPeers(t *testing.T) {
	a, b := backend(t, "a", nil), backend(t, "b", nil)
	conf := func(policy, server string) string {
		return logConf + "http { upstream u { server " + server + "; " + policy + " } server { listen FRONT; location / { proxy_pass http://u; } } }"
	}
	c := start(t, conf("", a))
	kept := openTunnel(t, c.front)
	c.mustReload(t, conf("tunnels close;", b))
	kept.ends(t)
	kept = openTunnel(t, c.front)
	c.mustReload(t, conf("tunnels keep;", a))
	kept.echoes(t)
	c.mustReload(t, conf("tunnels close;", b)) // the tunnel's peer is back
	kept.echoes(t)
	c.mustReload(t, logConf+"http { server { listen FRONT; return 204; } }") // the group is gone: its last policy
	kept.ends(t)
}

// Reloads leave nothing behind, not even with a tunnel for each of them.
func TestReloadsLeaveNothing(t *testing.T) {
	rounds, networks := 30, 1000
	if n, err := strconv.Atoi(os.Getenv("HOLDFAST_RELOADS")); err == nil {
		rounds, networks = n, 700_000 // about 20 MB of text
	}
	a := backend(t, "a", nil)
	c := start(t, logConf+"http { server { listen FRONT; return 204; } }")
	var geo strings.Builder
	for i := range networks {
		fmt.Fprintf(&geo, "%d.%d.%d.%d/32 value%d;\n", 1+i>>24, i>>16&255, i>>8&255, i&255, i%1000)
	}
	must(t, os.WriteFile(c.dir+"/geo.conf", []byte(geo.String()), 0o644))
	conf := func(i int) string {
		return logConf + "http { geo $geo { include DIR/geo.conf; } upstream u { server " + a + "; server a.invalid:1 resolve backup; }\n" +
			"resolver 127.0.0.1:1; server { listen FRONT; location / { proxy_pass http://u; add_header X-Geo $geo; }\n" +
			fmt.Sprintf("location /%d { return 200 $geo; } } }", i)
	}
	values := func() (goroutines, heap float64) {
		_, body := c.get(t, "unix", c.dir+"/admin.sock", "/metrics")
		return metric(t, body, "go_goroutines"), metric(t, body, "go_memstats_heap_inuse_bytes")
	}
	var tunnels []*tunnel
	var goroutines, heap float64
	for i := range rounds {
		c.mustReload(t, conf(i))
		tunnels = append(tunnels, openTunnel(t, c.front))
		if i == rounds/3 {
			goroutines, heap = values()
		}
	}
	until(t, "goroutines to end", func() bool {
		now, _ := values()
		return now <= goroutines+2
	})
	if _, now := values(); now > 2*heap+8<<20 {
		t.Errorf("heap %.0f bytes after a third, %.0f at the end", heap, now)
	}
	for _, k := range tunnels {
		k.echoes(t)
	}
}

// metric is the value of a metric without labels.
func metric(t *testing.T, text, name string) (value float64) {
	t.Helper()
	for line := range strings.Lines(text) {
		if n, _ := fmt.Sscanf(line, name+" %g", &value); n == 1 {
			return value
		}
	}
	t.Fatalf("there is no %s", name)
	return 0
}

// Numbers of listeners and logs are the same in all configurations of a process.
func TestNumbersStay(t *testing.T) {
	shared := NewShared()
	build := func(text string) *Built {
		built, problems := Build(load(t, text), route.Process{}, shared)
		if built == nil {
			t.Fatal(problems)
		}
		return built
	}
	build("http { access_log /a; server { listen 1; } server { listen 2; access_log /b; } }")
	built := build("http { server { listen 3; access_log /c; } server { listen 2; access_log /b; } }")
	if l := built.Snapshot.Listeners; len(l) != 3 || !l[0].Gone || l[1].Gone || l[1].Addr.Port() != 2 || l[2].Addr.Port() != 3 {
		t.Errorf("listeners %+v", l)
	}
	table := built.Snapshot.Table
	if table.Default(0) != nil || table.Default(1).Settings.AccessLogs[0].File != 1 || table.Default(2).Settings.AccessLogs[0].File != 2 {
		t.Error("the table does not go by the numbers")
	}
	if len(built.targets) != 2 {
		t.Errorf("targets %v", built.targets)
	}
	built = build("http { server { listen 1 ssl; ssl_reject_handshake on; } }")
	if l := built.Snapshot.Listeners; len(l) != 4 || !l[0].Gone || l[3].TLS == nil {
		t.Errorf("listeners %+v", l)
	}
}

// A socket that goes on listening gets other options.
func TestRelisten(t *testing.T) {
	s, err := open(t, freeAddress(t).String())
	must(t, err)
	fd := s.tcp[0][0]
	l := listening(t, "1 so_keepalive=77s:: backlog=5 rcvbuf=65536 deferred")[0]
	if errno := sys.Relisten(fd, listenOptions(l)); errno != 0 {
		t.Fatal(errno)
	}
	for option, want := range map[[2]int]int{
		{syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE}: 77, {syscall.SOL_SOCKET, syscall.SO_RCVBUF}: 2 * 65536,
	} {
		if got, err := syscall.GetsockoptInt(int(fd), option[0], option[1]); got != want {
			t.Errorf("option %v is %d, %v, want %d", option, got, err, want)
		}
	}
}
