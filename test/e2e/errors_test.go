package e2e_test

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"holdfast/test/port"
	"holdfast/test/proc"
)

// statusServer has a location for each way to answer without a good backend.
const statusServer = `
client_header_timeout {{head}};
lingering_timeout 300ms;
server {
    listen 127.0.0.1:{{port:front}};
    client_max_body_size 1k;
    default_type text/plain;
    location /ok { proxy_pass http://{{backend}}; }
    location /nobody-listens { proxy_pass http://{{dead}}; }
    location /silent { proxy_pass http://{{backend}}; proxy_read_timeout 200ms; }
    location /unconnectable { proxy_pass http://{{full}}; proxy_connect_timeout 200ms; }
    location = /text { return 200 "plain text\n"; }
    location = /empty { return 204; }
    location = /teapot { return 418; }
    location = /moved { return 301 https://elsewhere.example/; }
    location = /found { return https://elsewhere.example/$arg_to; }
    location = /hang-up { return 444; }
    location /only/ { return 403 "only\n"; }
}`

func startStatusServer(t *testing.T) (proc.Spec, *proc.Backend) {
	t.Helper()
	b := proc.NewBackend(t, proc.ByPath(map[string]proc.Behaviour{
		"/ok":         proc.Answer(200, "fine"),
		"/ok/leaves":  func(*proc.Exchange) {},
		"/ok/resets":  func(x *proc.Exchange) { x.Reset() },
		"/ok/garbage": func(x *proc.Exchange) { x.Send("SSH-2.0-OpenSSH_9.2\r\n\r\n") },
		"/ok/space":   func(x *proc.Exchange) { x.Send("HTTP/1.1 200 OK\r\nBad Name: x\r\n\r\n") },
		"/ok/lengths": func(x *proc.Exchange) {
			x.Send("HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd")
		},
		"/ok/big-head": func(x *proc.Exchange) {
			x.Send("HTTP/1.1 200 OK\r\nX-Big: " + strings.Repeat("x", 200_000) + "\r\n\r\n")
		},
		"/silent": proc.Silent(),
	}))
	return proc.Spec{HTTP: statusServer, Vars: map[string]string{
		"backend": b.Addr, "dead": port.Address(t), "full": fullListener(t), "head": "60s",
	}}, b
}

// fullListener is an address where connections hang: its accept queue is full, and the
// kernel drops what comes on top.
func fullListener(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	loopback := &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if err := syscall.Bind(fd, loopback); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		c, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { syscall.Close(c) })
		if err := syscall.Connect(c, name); err != nil && err != syscall.EINPROGRESS {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("127.0.0.1:%d", name.(*syscall.SockaddrInet4).Port)
}

// Bad requests and bad backends: a clear status, and the proxy goes on serving.
func TestErrorStatuses(t *testing.T) {
	spec, _ := startStatusServer(t)
	long := strings.Repeat("l", 40_000)
	for _, c := range []struct {
		name string
		send string
		want int
		// nginx is its status where it differs; -1 where it has no comparable answer.
		nginx int
	}{
		{"no_route", get("/nowhere"), 404, 0},
		{"return_text", get("/text"), 200, 0},
		{"return_without_body", get("/empty"), 204, 0},
		{"return_unknown_code", get("/teapot"), 418, 0},
		{"return_moved", get("/moved"), 301, 0},
		{"return_found", get("/found?to=x"), 302, 0},
		{"return_in_prefix", get("/only/this"), 403, 0},
		{"not_http", "hello\r\n\r\n", 400, 0},
		{"binary", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400, 0},
		{"no_host", "GET /ok HTTP/1.1\r\n\r\n", 400, 0},
		{"two_hosts", "GET /ok HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, 0},
		{"bad_host", "GET /ok HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, 0},
		{"space_before_colon", "GET /ok HTTP/1.1\r\nHost : a\r\n\r\n", 400, 0},
		{"obsolete_folding", "GET /ok HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n", 400, 0},
		{"escapes_the_root", get("/../ok"), 400, 0},
		{"bad_length", "POST /ok HTTP/1.1\r\nHost: a\r\nContent-Length: +4\r\n\r\nbody", 400, 0},
		{"two_lengths", "POST /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 4\r\n\r\nbody", 400, 0},
		{"length_and_chunked", "POST /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n" +
			"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, 0},
		{"bad_chunk", "POST /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", 400, 0},
		{"unknown_coding", "POST /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: snappy\r\n\r\n", 501, 0},
		{"version_2", "GET /ok HTTP/2.0\r\nHost: a\r\n\r\n", 505, 0},
		{"long_target", get("/ok?" + long), 414, 0},
		{"long_field", "GET /ok HTTP/1.1\r\nHost: a\r\nX-Long: " + long + "\r\n\r\n", 431, 400},
		{"many_fields", "GET /ok HTTP/1.1\r\nHost: a\r\n" + strings.Repeat("X-Many: field\r\n", 5000) + "\r\n", 431, 400},
		{"large_body", "POST /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 2048\r\n\r\n", 413, 0},
		{"large_chunked_body", "POST /ok HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" +
			"800\r\n" + strings.Repeat("b", 2048) + "\r\n0\r\n\r\n", 413, 0},
		{"nobody_listens", get("/nobody-listens"), 502, 0},
		{"backend_leaves", get("/ok/leaves"), 502, 0},
		{"backend_resets", get("/ok/resets"), 502, 0},
		{"backend_talks_garbage", get("/ok/garbage"), 502, -1},
		{"backend_bad_field", get("/ok/space"), 502, -1},
		{"backend_two_lengths", get("/ok/lengths"), 502, -1},
		{"backend_big_head", get("/ok/big-head"), 502, 0},
		{"backend_silent", get("/silent"), 504, 0},
		{"backend_unconnectable", get("/unconnectable"), 504, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			both(t, spec, func(t *testing.T, p *proc.Proxy) {
				want := c.want
				if p.Kind == proc.Nginx && c.nginx != 0 {
					want = c.nginx
				}
				if want < 0 {
					t.Skip("nginx has no comparable answer")
				}
				conn := proc.Dial(t, p.Front())
				conn.Send(c.send)
				conn.Response(want)
				conn.Close()
				// The next client is served as if nothing had been.
				conn = proc.Dial(t, p.Front())
				conn.Send(get("/ok"))
				equal(t, "body", string(conn.Body(conn.Response(200))), "fine")
				conn.Close()
			})
		})
	}
}

// The bodies and fields of return.
func TestReturn(t *testing.T) {
	spec, _ := startStatusServer(t)
	both(t, spec, func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		c.Send(get("/text"))
		h := c.Response(200)
		equal(t, "Content-Type", h.Get("Content-Type"), "text/plain")
		equal(t, "body", string(c.Body(h)), "plain text\n")
		c.Send(get("/found?to=there"))
		h = c.Response(302)
		equal(t, "Location", h.Get("Location"), "https://elsewhere.example/there")
		c.Body(h)
		c.Send(get("/hang-up"))
		c.ExpectEOF()
	})
}

// A head that stays incomplete ends at client_header_timeout; holdfast says why.
func TestIncompleteHeadTimesOut(t *testing.T) {
	t.Parallel()
	spec, _ := startStatusServer(t)
	spec.Vars["head"] = "3s" // long enough for the beginning to arrive, also on a busy machine
	both(t, spec, func(t *testing.T, p *proc.Proxy) {
		silent, begun := proc.Dial(t, p.Front()), proc.Dial(t, p.Front())
		begun.Send("GET /ok HTTP/1.1\r\nHost: te")
		if p.Kind == proc.Holdfast {
			begun.Response(408)
		}
		begun.ExpectEnd()
		silent.ExpectEOF()
		if p.Kind == proc.Holdfast {
			proc.Until(t, "both closes", func() error {
				closes := p.Status(t).Totals.SessionCloses
				if n := countReason(closes, "head_timeout"); n != 2 {
					return fmt.Errorf("closes %v", closes)
				}
				return nil
			})
		}
	})
}

func countReason(closes []proc.CloseCount, reason string) int64 {
	var n int64
	for _, c := range closes {
		if c.Reason == reason {
			n += c.Count
		}
	}
	return n
}

// A refused upload is answered even though the client is still sending: the connection
// lingers instead of cutting the answer off by an RST.
func TestRefusalWhileTheClientSends(t *testing.T) {
	spec, _ := startStatusServer(t)
	both(t, spec, func(t *testing.T, p *proc.Proxy) {
		for range 20 {
			c := proc.Dial(t, p.Front())
			c.Send("POST /ok HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n")
			go func() { _ = sendStream(c.Conn(), 'u', 1_000_000) }()
			if body := c.Body(c.Response(413)); len(body) == 0 {
				t.Error("no page says why")
			}
			c.Close()
		}
	})
}
