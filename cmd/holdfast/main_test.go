package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// playProxy, set in the environment, makes the test binary play a proxy: it writes
// the pid file it names and waits for TERM.
const playProxy = "HOLDFAST_TEST_PLAY_PROXY"

func TestMain(m *testing.M) {
	file := os.Getenv(playProxy)
	if file == "" {
		os.Exit(m.Run())
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, fastStop)
	if file == "fail" {
		os.Exit(3)
	}
	if err := os.WriteFile(file, fmt.Appendln(nil, os.Getpid()), 0o600); err != nil {
		os.Exit(4)
	}
	<-ended
	os.Exit(0)
}

const patience = 60 * time.Second // a deadline against hanging, never a measurement

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// execute runs a command line and returns what it wrote.
func execute(args ...string) (code int, out, errOut string) {
	var stdout, stderr bytes.Buffer
	code = run(args, streams{out: &stdout, err: &stderr})
	return code, stdout.String(), stderr.String()
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	must(t, os.MkdirAll(filepath.Dir(path), 0o700))
	must(t, os.WriteFile(path, []byte(text), 0o600))
	return path
}

const goodConf = "admin %s;\npid holdfast.pid;\nevents {}\n" +
	"http { server { listen 127.0.0.1:8080; location / { return 204; } } }\n"

func TestCommandLine(t *testing.T) {
	dir := t.TempDir()
	good := write(t, dir, "conf/nginx.conf", strings.Replace(goodConf, "%s", "127.0.0.1:1", 1))
	bad := write(t, dir, "bad.conf", "evnts {}\nhttp {\n server {\n  lisen 80;\n }\n}\n")
	warns := write(t, dir, "warns.conf", "events {}\nhttp { tcp_nopush on; server { listen 8080; return 204; } }\n")
	cases := []struct {
		name     string
		args     []string
		code     int
		out, err []string // fragments; none means that nothing may be written
	}{
		{"nothing", []string{}, 0, []string{"Usage:", "nginx's own form"}, nil},
		{"version", []string{"version"}, 0, []string{"holdfast/dev go"}, nil},
		{"-v as nginx, on stderr", []string{"-v"}, 0, nil, []string{"holdfast version: holdfast/dev"}},
		{"-V", []string{"-V"}, 0, nil, []string{"holdfast version: holdfast/dev", "GOARCH="}},
		{"check good", []string{"check", "-c", good}, 0, []string{"0 errors, 0 warnings"}, nil},
		{"check bad", []string{"check", "-c", bad}, 1,
			[]string{"bad.conf:1: error: ", "bad.conf:4: error: ", "2 errors, 0 warnings"}, nil},
		{"check warns", []string{"check", "-c", warns}, 0, []string{"warns.conf:2: warning: ", "0 errors, 1 warning\n"}, nil},
		{"check missing file", []string{"check", "-c", dir + "/no.conf"}, 1, []string{"no.conf: error: ", "1 error,"}, nil},
		{"-t good", []string{"-t", "-c", good}, 0, nil, []string{"syntax is ok", "test is successful"}},
		{"-tc as one word", []string{"-tc", good}, 0, nil, []string{"test is successful"}},
		{"-t -q good", []string{"-tq", "-c", good}, 0, nil, nil},
		{"-t bad", []string{"-t", "-c", bad}, 1, nil, []string{"bad.conf:1: error", "bad.conf test failed"}},
		{"-T prints the files", []string{"-T", "-c", good}, 0,
			[]string{"# configuration file " + good + ":\nadmin 127.0.0.1:1;"}, []string{"test is successful"}},
		{"-p finds conf/nginx.conf", []string{"-t", "-p", dir}, 0, nil, []string{good + " test is successful"}},
		{"-c below -p", []string{"-t", "-p", dir, "-c", "bad.conf"}, 1, nil, []string{bad + " test failed"}},
		{"-g is read too", []string{"-t", "-c", good, "-g", "nonsense on;"}, 1, nil, []string{"nonsense"}},
		{"-s reload", []string{"-s", "reload", "-c", good}, 1, nil, []string{"not running: there is no pid file"}},
		{"-s reopen, not running", []string{"-s", "reopen", "-p", dir}, 1, nil, []string{"not running: there is no pid file"}},
		{"-s unknown", []string{"-s", "halt", "-c", good}, 1, nil, []string{"-s halt is unknown; use stop, quit, reopen or reload"}},
		{"-s stop, not running", []string{"-s", "stop", "-p", dir}, 1, nil, []string{"not running: there is no pid file"}},
		{"stop, bad config", []string{"stop", "-c", bad}, 1, nil, []string{"bad.conf:1: error"}},
		{"unknown command", []string{"drain"}, 1, nil, []string{`unknown command "drain"`}},
		{"unknown flag", []string{"-z"}, 1, nil, []string{"unknown shorthand flag: 'z'"}},
		{"directives", []string{"directives"}, 0,
			[]string{"NAME", "CONTEXT", "proxy_pass", "keepalive_timeout", "75s", "auto follows the CPU quota", "more are known"}, nil},
		{"directives as JSON", []string{"directives", "--json"}, 0,
			[]string{`"name": "keepalive_timeout"`, `"default": "75s"`, `"deviation": "`, `"support": "refused"`}, nil},
		{"one directive as JSON", []string{"directives", "--json", "aio"}, 0, []string{`"support": "no effect"`}, nil},
		{"no such directive as JSON", []string{"directives", "--json", "foo"}, 1, nil, []string{`no directive "foo"`}},
		{"directives NAME", []string{"directives", "server"}, 0, []string{"context:  http", "context:  upstream"}, nil},
		{"directives unknown", []string{"directives", "foo"}, 1, nil, []string{`no directive "foo"`}},
		{"status without admin", []string{"status", "-c", warns}, 1, nil, []string{"no admin listener; add"}},
		{"status, nobody there", []string{"status", "-c", good}, 1, nil,
			[]string{"no answer from the admin listener 127.0.0.1:1"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			code, out, errOut := execute(c.args...)
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			contains(t, "stdout", out, c.out)
			contains(t, "stderr", errOut, c.err)
		})
	}
}

func contains(t *testing.T, stream, got string, fragments []string) {
	t.Helper()
	if len(fragments) == 0 && got != "" {
		t.Errorf("%s should be empty: %q", stream, got)
	}
	for _, fragment := range fragments {
		if !strings.Contains(got, fragment) {
			t.Errorf("%s does not say %q: %q", stream, fragment, got)
		}
	}
}

const statusBody = `{"version":"v9","pid":42,"uptime_seconds":3661.2,"fds":77,"totals":{"tunnels":1234567,
"sessions":{"tunnel":1234567,"idle":2,"linger":0},"accepted":5,"requests":1000,"upgrades":{"switched":7,"refused":1},
"tunnel_bytes_up":999,"tunnel_bytes_down":1000,"upstream_idle":3,
"tunnel_closes":[{"reason":"done","side":"client","count":6},{"reason":"reset","side":"upstream","count":9}]},
"shards":[{"tunnels":1000000,"accepted":3,"requests":600},{"tunnels":234567,"accepted":2,"requests":400}]}`

// statusHandler answers as the admin listener does, which on a loopback address
// refuses every Host that is neither an address nor localhost.
func statusHandler(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/status" {
		http.NotFound(w, r)
		return
	}
	own := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if r.Host != own.String() && r.Host != "localhost" {
		http.Error(w, "asked for by a name", http.StatusForbidden)
		return
	}
	_, _ = w.Write([]byte(statusBody))
}

func TestStatus(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(statusHandler))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	conf := write(t, t.TempDir(), "nginx.conf", strings.Replace(goodConf, "%s", address, 1))
	code, out, errOut := execute("status", "-c", conf)
	want := `holdfast v9, process 42, up 1h1m1s, 77 file descriptors

tunnels         1,234,567
sessions        tunnel 1,234,567, idle 2
accepted        5
requests        1,000
upgrades        switched 7, refused 1
tunnel bytes    999 up, 1,000 down
tunnels closed  reset by upstream 9, done by client 6
idle upstream   3
shard balance   the fullest has 1.62 times the mean of tunnels

  shard    tunnels  accepted  requests
      0  1,000,000         3       600
      1    234,567         2       400
`
	if code != 0 || out != want || errOut != "" {
		t.Errorf("exit code %d, stderr %q, stdout:\n%s\nwant:\n%s", code, errOut, out, want)
	}
	if code, out, _ := execute("status", "--json", "--admin", address); code != 0 || out != statusBody {
		t.Errorf("--json: exit code %d, %q", code, out)
	}
}

func TestStatusOverUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "admin.sock")
	listener, err := net.Listen("unix", path)
	must(t, err)
	server := &http.Server{Handler: http.HandlerFunc(statusHandler)}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	if code, out, errOut := execute("status", "--admin", "unix:"+path); code != 0 || !strings.Contains(out, "1,234,567") {
		t.Errorf("exit code %d, %q, %q", code, out, errOut)
	}
}

// fakeProxy is a process of this test's own binary that writes a pid file.
func fakeProxy(t *testing.T, pidFile string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), playProxy+"="+pidFile)
	return cmd
}

func TestStopEndsTheProcessOfThePIDFile(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "conf/nginx.conf", strings.Replace(goodConf, "%s", "off", 1))
	pidFile := filepath.Join(dir, "holdfast.pid")
	for _, args := range [][]string{{"stop", "-p", dir}, {"-s", "stop", "-p", dir}} {
		cmd := fakeProxy(t, pidFile)
		must(t, cmd.Start())
		done := make(chan error, 1)
		go func() { done <- cmd.Wait() }()
		must(t, waitReady(context.Background(), pidFile, cmd.Process.Pid, done))
		if code, out, errOut := execute(args...); code != 0 || out+errOut != "" {
			t.Errorf("%v: exit code %d, %q %q", args, code, out, errOut)
		}
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("%v: the process ended with %v", args, err)
			}
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			t.Fatalf("%v: the process lives on", args)
		}
	}
}

func TestStopTrustsNoStalePIDFile(t *testing.T) {
	other := exec.Command("sleep", "60")
	must(t, other.Start())
	defer func() { _ = other.Process.Kill(); _ = other.Wait() }()
	gone := exec.Command("true")
	must(t, gone.Run())
	cases := []struct{ name, text, want string }{
		{"another program", strconv.Itoa(other.Process.Pid) + "\n", `is now "sleep"`},
		{"gone", strconv.Itoa(gone.Process.Pid), "is gone"},
		{"init", "1\n", "does not hold a process number"},
		{"text", "seven", "does not hold a process number"},
		{"negative", "-5", "does not hold a process number"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			file := write(t, t.TempDir(), "x.pid", c.text)
			code, _, errOut := execute("stop", "--pid", file)
			if code != 1 || !strings.Contains(errOut, c.want) {
				t.Errorf("exit code %d, %q, want %q", code, errOut, c.want)
			}
		})
	}
	if err := other.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("the other program was hit: %v", err)
	}
}

func TestDemoChildLivesAndEnds(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	must(t, os.Mkdir(dir, 0o700))
	cmd := fakeProxy(t, filepath.Join(dir, "holdfast.pid"))
	proxy, err := startIn(context.Background(), dir, "the text", cmd, os.Stderr)
	must(t, err)
	if text, err := os.ReadFile(filepath.Join(dir, "nginx.conf")); err != nil || string(text) != "the text" {
		t.Errorf("configuration: %q, %v", text, err)
	}
	proxy.Stop()
	if !ended(proxy.PID) {
		t.Error("the proxy lives on after Stop")
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder is left: %v", err)
	}
}

func TestDemoChildThatFails(t *testing.T) {
	dir := t.TempDir()
	_, err := startIn(context.Background(), dir, "", fakeProxy(t, "fail"), os.Stderr)
	if err == nil || !strings.Contains(err.Error(), "did not start: exit status 3") {
		t.Errorf("got %v", err)
	}
}
