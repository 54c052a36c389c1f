package e2e_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/cespare/xxhash/v2"

	"holdfast/test/port"
	"holdfast/test/proc"
	"holdfast/test/wire"
)

// clientsDir holds the scripts of the foreign clients.
const clientsDir = "../clients"

// run runs a foreign program to its end and returns its output; it must exit 0.
func run(t *testing.T, path string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*proc.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.WaitDelay = proc.Patience
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", path, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// program finds a foreign program or skips the test.
func program(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		proc.Skip(t, name+" is not on PATH")
	}
	return path
}

// node finds Node.js with an installed npm package.
func node(t *testing.T, npmPackage string) string {
	t.Helper()
	path := program(t, "node")
	if _, err := os.Stat(filepath.Join(clientsDir, "node_modules", npmPackage)); err != nil {
		proc.Skip(t, "the npm package "+npmPackage+" is not installed: run npm ci in test/clients")
	}
	return path
}

// python finds a Python that has the package websockets: Debian's own one first, since
// python3-websockets belongs to that.
func python(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"/usr/bin/python3", "python3"} {
		if path, err := exec.LookPath(name); err == nil && exec.Command(path, "-c", "import websockets").Run() == nil {
			return path
		}
	}
	proc.Skip(t, "no python3 with the package websockets")
	return ""
}

func TestClientNodeWS(t *testing.T) {
	path := node(t, "ws")
	b := proc.NewBackend(t, proc.Echo())
	both(t, to(b), func(t *testing.T, p *proc.Proxy) {
		equal(t, "output", run(t, path, filepath.Join(clientsDir, "ws_client.js"), "ws://"+p.Front()+"/", "20"), "ok 20\n")
	})
}

func TestClientPythonWebsockets(t *testing.T) {
	path := python(t)
	b := proc.NewBackend(t, proc.Echo())
	both(t, to(b), func(t *testing.T, p *proc.Proxy) {
		script := filepath.Join(clientsDir, "websockets_client.py")
		equal(t, "output", run(t, path, script, "ws://"+p.Front()+"/", "20"), "ok 20\n")
	})
}

func TestClientCurl(t *testing.T) {
	path := program(t, "curl")
	b := proc.NewBackend(t, proc.ByPath(map[string]proc.Behaviour{
		"/page": proc.Answer(200, "a page\n", "X-Backend: yes"),
		"/sum": func(x *proc.Exchange) {
			sum := xxhash.New()
			if _, err := io.Copy(sum, x.BodyReader(x.Head)); err != nil {
				return
			}
			proc.Answer(200, fmt.Sprintf("%x", sum.Sum(nil)))(&proc.Exchange{Raw: x.Raw})
			x.Keep = true
		},
		"/ws": func(x *proc.Exchange) {
			x.Switch(wire.ServerFrame(wire.OpText, []byte("greeting"))...)
			x.CloseWrite()
			x.WaitEnd()
		},
	}))
	upload := filepath.Join(t.TempDir(), "upload")
	f, err := os.Create(upload)
	if err != nil {
		t.Fatal(err)
	}
	const size = 5 << 20
	if err := sendStream(f, 'u', size); err != nil {
		t.Fatal(err)
	}
	f.Close()
	both(t, to(b), func(t *testing.T, p *proc.Proxy) {
		base := "http://" + p.Front()
		out := run(t, path, "-sS", "--include", base+"/page", base+"/page")
		equal(t, "pages", strings.Count(out, "a page\n"), 2)
		equal(t, "X-Backend", strings.Count(out, "X-Backend: yes"), 2)
		for _, extra := range [][]string{{"-T", upload}, {"--data-binary", "@" + upload},
			{"-T", upload, "-H", "Transfer-Encoding: chunked"}, {"--http1.0", "-T", upload}} {
			got := run(t, path, append([]string{"-sS", base + "/sum"}, extra...)...)
			equal(t, "sum of the upload "+strings.Join(extra, " "), got, hashOf('u', size))
		}
		out = run(t, path, "-sS", "--http1.1", "--include", "-N", "--max-time", "60",
			"-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13",
			"-H", "Sec-WebSocket-Key: "+wire.SampleKey, base+"/ws")
		if !strings.HasPrefix(out, "HTTP/1.1 101 ") || !strings.Contains(out, wire.AcceptKey(wire.SampleKey)) ||
			!strings.HasSuffix(out, "greeting") {
			t.Errorf("curl's upgrade got %q", out)
		}
	})
}

// A few seconds of load on a plain location: no error, and upstream connections reused.
func TestLoadByWrk(t *testing.T) {
	path := program(t, "wrk")
	b, err := wire.ListenEcho("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	p := holdfast(t, proc.Spec{HTTP: classic, Vars: map[string]string{"backend": b.Addr()}})
	seconds := "3s"
	if testing.Short() {
		seconds = "1s"
	}
	out := run(t, path, "-t2", "-c64", "--timeout", "30s", "-d"+seconds, "http://"+p.Front()+"/")
	if strings.Contains(out, "Socket errors") || strings.Contains(out, "Non-2xx") {
		t.Errorf("wrk saw errors:\n%s", out)
	}
	made := regexp.MustCompile(`(\d+) requests in`).FindStringSubmatch(out)
	if made == nil {
		t.Fatalf("wrk says:\n%s", out)
	}
	requests, _ := strconv.ParseInt(made[1], 10, 64)
	sum := p.Status(t).Totals
	// Two wrk requests may be under way on each connection when it stops.
	if requests == 0 || sum.Requests < requests || sum.Requests > requests+128 {
		t.Errorf("wrk made %d requests, holdfast counted %d", requests, sum.Requests)
	}
	if sum.UpstreamReuses == 0 || sum.UpstreamReuses+sum.UpstreamConnects < requests {
		t.Errorf("%d requests: %d upstream connections made, %d reused",
			requests, sum.UpstreamConnects, sum.UpstreamReuses)
	}
}

// The demo in a real browser: type, see the echo, open 200 sockets, close them.
func TestDemoPageInChromium(t *testing.T) {
	nodePath, browser := node(t, "playwright-core"), program(t, "chromium")
	demo, url := startDemo(t)
	script := []string{filepath.Join(clientsDir, "demo_page.js"), url, browser, t.TempDir()}
	if dir := os.Getenv("HOLDFAST_SCREENSHOTS"); dir != "" {
		script = append(script, dir)
	}
	out := run(t, nodePath, script...)
	if !strings.HasSuffix(out, "ok\n") {
		t.Errorf("the browser says %q", out)
	}
	stopDemo(t, demo)
}

// The demo serves its page and its echo to a plain client.
func TestDemo(t *testing.T) {
	demo, url := startDemo(t)
	host := strings.Trim(strings.TrimPrefix(url, "http://"), "/")
	c := proc.Dial(t, host)
	c.Send("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
	page := string(c.Body(c.Response(200)))
	for _, id := range []string{"state", "input", "send", "log", "tunnels", "open200", "open1000", "closeall"} {
		if !regexp.MustCompile(`id=["']?` + id + `\b`).MatchString(page) {
			t.Errorf("the page has no element with the id %s", id)
		}
	}
	c.Close()
	c = proc.Dial(t, host)
	c.Handshake(host, "/ws")
	c.EchoText("hello, demo").Close()
	stopDemo(t, demo)
}

var demoURL = regexp.MustCompile(`http://127\.0\.0\.1:\d+/`)

// startDemo starts "holdfast demo" and returns the URL it prints.
func startDemo(t *testing.T) (*proc.Process, string) {
	t.Helper()
	only(t, proc.Holdfast)
	dir, err := os.MkdirTemp("", "holdfast-demo-")
	if err != nil {
		t.Fatal(err)
	}
	output := filepath.Join(dir, "output.log")
	p, err := proc.Launch(proc.Command{
		Path: proc.Binary(t), Args: []string{"demo", "--listen", port.Address(t), "--admin", port.Address(t)},
		Dir: dir, Output: output,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if t.Failed() {
			text, _ := os.ReadFile(output)
			t.Logf("the demo says:\n%s", text)
		}
		os.RemoveAll(dir)
	})
	var url string
	proc.Until(t, "the demo's URL", func() error {
		text, err := os.ReadFile(output)
		if err != nil {
			return err
		}
		if p.Ended() {
			t.Fatalf("the demo ended:\n%s", text)
		}
		if url = demoURL.FindString(string(text)); url == "" {
			return fmt.Errorf("no URL in %q", text)
		}
		return nil
	})
	return p, url
}

func stopDemo(t *testing.T, p *proc.Process) {
	t.Helper()
	if err := p.Signal(sigTERM); err != nil {
		t.Fatal(err)
	}
	if code, err := p.Exit(proc.Patience); err != nil || code != 0 {
		t.Errorf("the demo after TERM: exit code %d, %v", code, err)
	}
}
