package proc_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"holdfast/test/proc"
	"holdfast/test/wire"
)

// deaf takes the failures of a harness under test instead of the real test.
type deaf struct {
	testing.TB
	failures []string
}

func (d *deaf) Helper()                   {}
func (d *deaf) Failed() bool              { return len(d.failures) > 0 }
func (d *deaf) Log(...any)                {}
func (d *deaf) Logf(string, ...any)       {}
func (d *deaf) Error(args ...any)         { d.failures = append(d.failures, fmt.Sprint(args...)) }
func (d *deaf) Errorf(f string, a ...any) { d.failures = append(d.failures, fmt.Sprintf(f, a...)) }

// later keeps cleanups instead of running them with the real test.
type later struct {
	deaf
	cleanups []func()
}

func (l *later) Cleanup(f func()) { l.cleanups = append(l.cleanups, f) }

func (l *later) end() {
	for i := len(l.cleanups) - 1; i >= 0; i-- {
		l.cleanups[i]()
	}
}

const answering = `server { listen 127.0.0.1:{{port:front}}; return 200 "{{word}}"; }`

func spec() proc.Spec { return proc.Spec{HTTP: answering, Vars: map[string]string{"word": "yes"}} }

func TestStartedProxyAnswersAndStops(t *testing.T) {
	p := proc.Start(t, proc.Nginx, spec())
	c := proc.Dial(t, p.Front())
	c.Send("GET / HTTP/1.0\r\n\r\n")
	if body := string(c.Body(c.Response(200))); body != "yes" {
		t.Errorf("body %q", body)
	}
	proc.Until(t, "the access log line", func() error {
		if log := p.AccessLog(); !strings.Contains(log, "GET / HTTP/1.0") {
			return fmt.Errorf("access log %q", log)
		}
		return nil
	})
}

// The checks at the end must fail a test whose proxy logged an alert, died, or was killed.
func TestFinalChecksFail(t *testing.T) {
	for name, harm := range map[string]func(p *proc.Proxy){
		"logged:": func(p *proc.Proxy) {
			path := filepath.Join(p.Dir, "logs", "error.log")
			if err := os.WriteFile(path, []byte("2026/01/01 [alert] 1#1: made up\n"), 0o644); err != nil {
				t.Fatal(err)
			}
		},
		"ended during the test": func(p *proc.Proxy) { p.Kill() },
	} {
		l := &later{deaf: deaf{TB: t}}
		p := proc.Start(l, proc.Nginx, spec())
		t.Cleanup(func() { os.RemoveAll(p.Dir) })
		harm(p)
		l.end()
		if all := strings.Join(l.failures, "; "); !strings.Contains(all, name) {
			t.Errorf("want a failure with %q, got %q", name, all)
		}
	}
}

func TestFinalChecksPass(t *testing.T) {
	l := &later{deaf: deaf{TB: t}}
	p := proc.Start(l, proc.Nginx, spec())
	l.end()
	if len(l.failures) > 0 {
		t.Error(l.failures)
	}
	if _, err := os.Stat(p.Dir); err == nil {
		t.Error("the files of a passed test are still there")
	}
}

func TestProcessExitCodes(t *testing.T) {
	launch := func(script string) *proc.Process {
		p, err := proc.Launch(proc.Command{
			Path: "/bin/sh", Args: []string{"-c", script}, Output: filepath.Join(t.TempDir(), "out"),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Kill)
		return p
	}
	if code, err := launch("exit 3").Exit(proc.Patience); code != 3 || err != nil {
		t.Errorf("exit 3: %d, %v", code, err)
	}
	p := launch("exec cat /dev/zero > /dev/null")
	if err := p.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	if code, err := p.Exit(proc.Patience); code != -1 || err != nil {
		t.Errorf("death by TERM: %d, %v", code, err)
	}
	p = launch("exec cat /dev/zero > /dev/null")
	if _, err := p.Exit(0); err == nil {
		t.Error("no error for a process that still runs")
	}
	p.Kill()
	if !p.Ended() {
		t.Error("alive after Kill")
	}
}

func TestRawKeepsItsFirstFailure(t *testing.T) {
	b := proc.NewBackend(t, func(x *proc.Exchange) { x.Send("one two") })
	c := proc.Try(b.Addr)
	defer c.Close()
	c.Send("GET / HTTP/1.1\r\n\r\n").Expect("one").Expect("-two").Expect(" never")
	if c.Err() == nil || !strings.Contains(c.Err().Error(), `want "-two"`) {
		t.Errorf("error %v", c.Err())
	}
}

func TestRawTellsFINFromRST(t *testing.T) {
	b := proc.NewBackend(t, proc.ByPath(map[string]proc.Behaviour{
		"/fin": func(*proc.Exchange) {},
		"/rst": func(x *proc.Exchange) { x.Reset() },
	}))
	for path, clean := range map[string]bool{"/fin": true, "/rst": false} {
		c := proc.Try(b.Addr)
		c.Send("GET " + path + " HTTP/1.1\r\n\r\n")
		c.ExpectEOF()
		if (c.Err() == nil) != clean {
			t.Errorf("%s: %v", path, c.Err())
		}
		c.Close()
	}
}

func TestRawExpectSilence(t *testing.T) {
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		x.ExpectSilence()
		if x.Err() != nil {
			t.Error("silence: ", x.Err())
		}
		x.Send("noise")
		x.WaitEnd()
	})
	c := proc.Try(b.Addr)
	defer c.Close()
	c.Send("GET / HTTP/1.1\r\n\r\n")
	c.Read(1)
	c.ExpectSilence()
	if c.Err() == nil {
		t.Error("noise was taken for silence")
	}
}

func TestBackendRecordsAndKeepsAlive(t *testing.T) {
	b := proc.NewBackend(t, proc.Echo())
	c := proc.Dial(t, b.Addr)
	c.Send("POST /1 HTTP/1.1\r\nContent-Length: 4\r\n\r\nbodyGET /2 HTTP/1.1\r\nX-A: b\r\n\r\n")
	c.Body(c.Response(200))
	c.Body(c.Response(200))
	seen := b.Seen()
	if len(seen) != 2 || seen[1].Head.Get("x-a") != "b" || seen[1].Request != 2 || b.Connections() != 1 {
		t.Errorf("seen %+v", seen)
	}
	c.Handshake("x", "/ws")
	c.EchoText("hello")
}

func TestReadStatus(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"version":"1","pid":7,"fds":9,"totals":{"sessions":{"idle":2,"free":9},"tunnels":3,
			"upgrades":{"switched":4},"tunnel_closes":[{"reason":"done","side":"client","count":5}],"bufs_out":6}}`)
	}))
	defer s.Close()
	got, err := proc.ReadStatus(strings.TrimPrefix(s.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	sum := got.Totals
	if got.PID != 7 || got.Fds != 9 || sum.Live() != 2 || sum.Tunnels != 3 || sum.BufsOut != 6 ||
		sum.Upgrades["switched"] != 4 || proc.Closed(sum.TunnelCloses, "done", "client") != 5 {
		t.Errorf("status %+v", got)
	}
}

func TestChunkedBodyOfRaw(t *testing.T) {
	text := string(wire.AppendChunk(wire.AppendChunk(nil, []byte("chunk")), nil))
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		x.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + text + "behind")
	})
	c := proc.Dial(t, b.Addr)
	c.Send("GET / HTTP/1.1\r\n\r\n")
	if body := string(c.Body(c.Response(200))); body != "chunk" {
		t.Errorf("body %q", body)
	}
	c.Expect("behind").ExpectEOF()
}
