package e2e_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"holdfast/test/proc"
	"holdfast/test/wire"
)

// poison is one attack of an upstream on the client, and on whoever comes next.
type poison struct {
	clause string
	ask    string // the request line's method and version: "GET 1.1", "HEAD 1.1", "GET 1.0", "UPGRADE"
	reply  string // what the upstream sends
	then   string // what it does next: "keep", "close" or "reset"
	want   string // status and body for the client; "cut": no whole answer
}

const (
	ok200   = "HTTP/1.1 200 OK\r\n"
	poison2 = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nX-Evil: yes\r\n\r\npoison"
)

func framingPoisons() []poison {
	return []poison{
		{"9112_6.3_CL_and_TE", "GET 1.1", ok200 + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "keep", "502"},
		{"9112_6.3_two_different_CL", "GET 1.1", ok200 + "Content-Length: 0\r\nContent-Length: 5\r\n\r\nabcde", "keep", "502"},
		{"9112_6.3_CL_list", "GET 1.1", ok200 + "Content-Length: 5, 5\r\n\r\nabcde", "keep", "502"},
		{"9110_8.6_CL_plus", "GET 1.1", ok200 + "Content-Length: +5\r\n\r\nabcde", "keep", "502"},
		{"9110_8.6_CL_minus", "GET 1.1", ok200 + "Content-Length: -5\r\n\r\nabcde", "keep", "502"},
		{"9110_8.6_CL_2^64", "GET 1.1", ok200 + "Content-Length: 18446744073709551616\r\n\r\n", "keep", "502"},
		{"9112_6.1_TE_unknown", "GET 1.1", ok200 + "Transfer-Encoding: gzip\r\n\r\nabc", "close", "502"},
		{"9112_6.1_TE_gzip_chunked", "GET 1.1", ok200 + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "keep", "502"},
		{"9112_6.1_TE_vertical_tab", "GET 1.1", ok200 + "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n", "keep", "502"},
		{"9112_6.1_TE_in_1.0", "GET 1.1", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "keep", "502"},
		{"9112_7.1_bad_first_chunk", "GET 1.1", ok200 + "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", "keep", "cut"},
		{"9112_7.1_bad_later_chunk", "GET 1.1", ok200 + "Transfer-Encoding: chunked\r\n\r\n1\r\na", "reset", "cut"},
		{"9112_8_chunked_cut", "GET 1.1", ok200 + "Transfer-Encoding: chunked\r\n\r\n5\r\nab", "close", "cut"},
		{"9112_8_length_cut", "GET 1.1", ok200 + "Content-Length: 50\r\n\r\nab", "close", "cut"},
		{"9112_8_length_reset", "GET 1.1", ok200 + "Content-Length: 50\r\n\r\nab", "reset", "cut"},
		{"9112_6.3_no_framing", "GET 1.1", ok200 + "\r\nabc", "close", "200 abc"},
		{"9112_6.3_no_framing_to_1.0", "GET 1.0", ok200 + "\r\nabc", "close", "200 abc"},
		{"9112_6.3_chunked_to_1.0", "GET 1.0", ok200 + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "keep", "200 abc"},
		{"9110_7.6.1_Connection_names_CL", "GET 1.1", ok200 + "Connection: Content-Length\r\nContent-Length: 3\r\n\r\nabc", "keep", "200 abc"},
		{"9110_7.6.1_Connection_names_TE", "GET 1.1",
			ok200 + "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "keep", "200 abc"},
	}
}

func surplusPoisons() []poison {
	return []poison{
		{"9112_6.3_behind_length", "GET 1.1", ok200 + "Content-Length: 3\r\n\r\nabc" + poison2, "keep", "200 abc"},
		{"9112_6.3_behind_chunked", "GET 1.1", ok200 + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" + poison2, "keep", "200 abc"},
		{"9112_6.3_behind_CL_0", "GET 1.1", ok200 + "Content-Length: 0\r\n\r\n" + poison2, "keep", "200"},
		{"9112_6.3_behind_204", "GET 1.1", "HTTP/1.1 204 No Content\r\n\r\n" + poison2, "keep", "204"},
		{"9112_6.3_204_with_length", "GET 1.1", "HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\npoison", "keep", "204"},
		{"9112_6.3_204_chunked", "GET 1.1", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "keep", "204"},
		{"9112_6.3_behind_304", "GET 1.1", "HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\npoison", "keep", "304"},
		{"9112_6.3_behind_HEAD", "HEAD 1.1", ok200 + "Content-Length: 6\r\n\r\npoison", "keep", "200"},
		{"9112_6.3_HEAD_without_length", "HEAD 1.1", ok200 + "\r\n" + poison2, "keep", "200"},
		{"9112_6.3_HEAD_chunked", "HEAD 1.1", ok200 + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "keep", "200"},
		{"9112_6.3_one_byte_behind", "GET 1.1", ok200 + "Content-Length: 3\r\n\r\nabcX", "keep", "200 abc"},
		{"9112_6.3_CRLF_behind", "GET 1.1", ok200 + "Content-Length: 3\r\n\r\nabc\r\n", "keep", "200 abc"},
		{"9112_9.6_Connection_close_kept_open", "GET 1.1", ok200 + "Connection: close\r\nContent-Length: 3\r\n\r\nabc", "keep", "200 abc"},
		{"9112_9.3_1.0_kept_open", "GET 1.1", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\nabc", "keep", "200 abc"},
	}
}

func headPoisons() []poison {
	long := strings.Repeat("x", 300_000)
	return []poison{
		{"no_head_at_all", "GET 1.1", "", "close", "502"},
		{"no_head_reset", "GET 1.1", "", "reset", "502"},
		{"half_a_status_line", "GET 1.1", "HTTP/1.1 20", "close", "502"},
		{"half_a_head", "GET 1.1", ok200 + "Content-Le", "close", "502"},
		{"half_a_head_reset", "GET 1.1", ok200 + "Content-Le", "reset", "502"},
		{"garbage", "GET 1.1", "SSH-2.0-OpenSSH_9.2\r\n", "keep", "502"},
		{"HTTP_0.9", "GET 1.1", "<html>old</html>", "close", "502"},
		{"TLS_alert", "GET 1.1", "\x15\x03\x01\x00\x02\x02\x46", "keep", "502"},
		{"9112_4_HTTP_2", "GET 1.1", "HTTP/2 200 OK\r\n\r\n", "keep", "502"},
		{"9112_4_HTTP_2.0", "GET 1.1", "HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", "keep", "502"},
		{"9112_4_status_of_4_digits", "GET 1.1", "HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", "keep", "502"},
		{"9112_4_status_of_2_digits", "GET 1.1", "HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n", "keep", "502"},
		{"9110_15_status_000", "GET 1.1", "HTTP/1.1 000 Zero\r\nContent-Length: 0\r\n\r\n" + poison2, "keep", "502"},
		{"9110_15_status_099", "GET 1.1", "HTTP/1.1 099 Low\r\nContent-Length: 0\r\n\r\n" + poison2, "keep", "502"},
		{"9112_4_status_minus", "GET 1.1", "HTTP/1.1 -20 OK\r\nContent-Length: 0\r\n\r\n", "keep", "502"},
		{"9112_4_status_word", "GET 1.1", "HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n", "keep", "502"},
		{"9112_4_no_reason", "GET 1.1", "HTTP/1.1 200 \r\nContent-Length: 3\r\n\r\nabc", "keep", "200 abc"},
		{"9112_4_NUL_in_reason", "GET 1.1", "HTTP/1.1 200 O" + nul + "K\r\nContent-Length: 0\r\n\r\n", "keep", "502"},
		{"9112_4_ESC_in_reason", "GET 1.1", "HTTP/1.1 200 \x1b[2J\r\nContent-Length: 0\r\n\r\n", "keep", "502"},
		{"9112_2.2_bare_LF", "GET 1.1", "HTTP/1.1 200 OK\nContent-Length: 3\n\nabc", "keep", "502"},
		{"9112_2.2_bare_CR", "GET 1.1", ok200 + "X: a\rX-Evil: yes\r\nContent-Length: 0\r\n\r\n", "keep", "502"},
		{"9112_2.2_empty_line_first", "GET 1.1", "\r\n" + ok200 + "Content-Length: 0\r\n\r\n", "keep", "502"},
		{"9112_5.2_folded", "GET 1.1", ok200 + "X: a\r\n b\r\nContent-Length: 0\r\n\r\n", "keep", "502"},
		{"9112_5.1_space_before_colon", "GET 1.1", ok200 + "Content-Length : 0\r\n\r\n", "keep", "502"},
		{"9110_5.5_NUL_in_value", "GET 1.1", ok200 + "X: a" + nul + "\r\nContent-Length: 0\r\n\r\n", "keep", "502"},
		{"9112_5_no_colon", "GET 1.1", ok200 + "Nocolon\r\nContent-Length: 0\r\n\r\n", "keep", "502"},
		{"value_bomb", "GET 1.1", ok200 + "X: " + long + "\r\n\r\n", "keep", "502"},
		{"endless_status_line", "GET 1.1", "HTTP/1.1 200 " + long, "keep", "502"},
		{"field_bomb", "GET 1.1", ok200 + strings.Repeat("a:\r\n", 70_000), "keep", "502"},
		{"1xx_flood", "GET 1.1", strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 3000) + poison2, "keep", "502"},
		{"102_103_then_final", "GET 1.1", "HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 103 Hints\r\nLink: <x>\r\n\r\n" +
			ok200 + "Content-Length: 3\r\n\r\nabc", "keep", "200 abc"},
		{"1xx_then_nothing", "GET 1.1", "HTTP/1.1 100 Continue\r\n\r\n", "close", "502"},
		{"9110_15.2_1xx_with_length", "GET 1.1", "HTTP/1.1 103 Hints\r\nContent-Length: 3\r\n\r\n" + ok200 + "Content-Length: 3\r\n\r\nabc",
			"keep", "200 abc"},
		{"status_999", "GET 1.1", "HTTP/1.1 999 Odd\r\nContent-Length: 3\r\n\r\nabc", "keep", "999 abc"},
	}
}

func switchPoisons() []poison {
	accept := "Sec-WebSocket-Accept: " + wire.AcceptKey(wire.SampleKey) + "\r\n"
	to101 := "HTTP/1.1 101 Switching Protocols\r\n"
	full := to101 + "Connection: Upgrade\r\nUpgrade: websocket\r\n" + accept + "\r\n"
	return []poison{
		{"9110_15.2.2_101_unasked", "GET 1.1", full, "keep", "502"},
		{"9110_15.2.2_101_bare", "GET 1.1", to101 + "\r\n" + poison2, "keep", "502"},
		{"9110_15.2.2_101_to_1.0", "GET 1.0", full, "keep", "502"},
		{"9110_15.2.2_101_to_HEAD", "HEAD 1.1", full, "keep", "502"},
		{"9110_7.8_101_without_Upgrade", "UPGRADE", to101 + "Connection: Upgrade\r\n" + accept + "\r\n", "keep", "502"},
		{"9110_7.8_101_without_Connection", "UPGRADE", to101 + "Upgrade: websocket\r\n" + accept + "\r\n", "keep", "502"},
		{"9110_7.8_101_to_h2c", "UPGRADE", to101 + "Connection: Upgrade\r\nUpgrade: h2c\r\n" + accept + "\r\n", "keep", "502"},
		{"9110_7.8_101_to_two", "UPGRADE", to101 + "Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n" + accept + "\r\n", "keep", "502"},
		{"9110_7.8_101_two_Upgrades", "UPGRADE", to101 + "Connection: Upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n" + accept + "\r\n",
			"keep", "502"},
		{"9110_7.8_101_to_what_was_not_passed_on", "UPGRADE h2c", to101 + "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", "keep", "502"},
		{"6455_4.1_no_Accept", "UPGRADE", to101 + "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "keep", "502"},
		{"6455_4.1_wrong_Accept", "UPGRADE", to101 + "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: AAAA\r\n\r\n",
			"keep", "502"},
		{"6455_4.1_two_Accepts", "UPGRADE", to101 + "Connection: Upgrade\r\nUpgrade: websocket\r\n" + accept + accept + "\r\n", "keep", "502"},
		{"101_in_1.0", "UPGRADE", strings.Replace(full, "1.1", "1.0", 1), "keep", "502"},
		{"100_then_200_to_an_upgrade", "UPGRADE", "HTTP/1.1 100 Continue\r\n\r\n" + ok200 + "Content-Length: 3\r\n\r\nabc", "keep", "200 abc"},
		{"refused_with_surplus", "UPGRADE", "HTTP/1.1 403 No\r\nContent-Length: 3\r\n\r\nabc" + poison2, "keep", "403 abc"},
		{"426_says_which", "UPGRADE", "HTTP/1.1 426 Other\r\nUpgrade: foo\r\nConnection: upgrade\r\nContent-Length: 0\r\n\r\n", "keep", "426"},
		{"closes_at_the_101", "UPGRADE", to101, "close", "502"},
		{"resets_at_the_101", "UPGRADE", to101 + "Connection: Up", "reset", "502"},
	}
}

func allPoisons() map[string][]poison {
	return map[string][]poison{
		"framing": framingPoisons(), "surplus": surplusPoisons(), "head": headPoisons(), "switch": switchPoisons(),
	}
}

// ask is the request an attack is the answer to.
func (p poison) request(target string) string {
	if p.ask == "UPGRADE" {
		return wire.UpgradeRequest("a", target)
	}
	if p.ask == "UPGRADE h2c" {
		return strings.Replace(wire.UpgradeRequest("a", target), "websocket", "websocket, h2c", 1)
	}
	method, version, _ := strings.Cut(p.ask, " ")
	return method + " " + target + " HTTP/" + version + "\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"
}

// What an upstream can say, whole and byte by byte, and that none of it reaches the next
// client.
func TestHostileUpstream(t *testing.T) {
	paths := map[string]poison{}
	var begun, played atomic.Int64
	g := startGround(t, func(x *proc.Exchange) {
		path, dribble := strings.CutSuffix(x.Head.Target(), "/dribbled")
		p, known := paths[path]
		switch {
		case !known:
			echoTarget(x)
			return
		case dribble:
			begun.Add(1)
			x.SendEach([]byte(p.reply), 1)
			_ = proc.Poll(proc.Patience, func() error { return arrived(x.Conn()) })
			played.Add(1)
		default:
			x.Send(p.reply)
		}
		switch p.then {
		case "reset":
			x.Reset()
		case "keep":
			x.Keep = true
		}
	})
	for group, rows := range allPoisons() {
		for i, row := range rows {
			paths["/"+group+"-"+strconv.Itoa(i)] = row
		}
	}
	for group, rows := range allPoisons() {
		for i, row := range rows {
			target := "/" + group + "-" + strconv.Itoa(i)
			t.Run(group+"/"+row.clause, func(t *testing.T) {
				g.poison(t, row, target, nil)
				if len(row.reply) < 1000 {
					g.poison(t, row, target+"/dribbled", func() error {
						if begun.Load() != played.Load() {
							return errors.New("not all is said")
						}
						return nil
					})
				}
			})
		}
	}
	g.calm(t, "after all attacks")
}

// poison plays one attack. said tells when the upstream has sent all that it sends: what
// comes later than the next request can't be told from the answer to that.
func (g *ground) poison(t *testing.T, row poison, target string, said func() error) {
	t.Helper()
	c := proc.Try(g.Front())
	defer c.Close()
	c.Send(row.request(target))
	status, body, _ := strings.Cut(row.want, " ")
	if status == "cut" {
		h := c.Head()
		// A reset may overtake the head, on either side; what must not be is a whole answer.
		if c.Err() == nil && h.Status() != 502 {
			if got := c.Body(h); c.Err() == nil {
				t.Errorf("got %q and the whole body %q", h.Start, got)
			}
		}
	} else {
		h := c.Head()
		if got := strconv.Itoa(h.Status()); got != status {
			t.Errorf("got %q, %v, want %s", h.Start, c.Err(), row.want)
		}
		if err := honestAnswer(h); err != nil {
			t.Errorf("the client got %q: %v", h.Raw, err)
		}
		if bodyless := strings.HasPrefix(row.ask, "HEAD") || status == "204" || status == "304"; !bodyless {
			got := string(c.Body(h))
			if status != "502" {
				equal(t, "body", got, body)
			}
		}
		if c.Err() == nil && h.Get("Connection") == "keep-alive" {
			c.Send(get("/own/after"))
			equal(t, "the next answer", string(c.Body(c.Response(200))), "own\n")
		}
	}
	c.Close()
	if said != nil {
		proc.Until(t, "the upstream", said)
	}
	g.alive(t)
	g.settled(t)
}

// honestAnswer checks the head of an answer for what a client must never see.
func honestAnswer(h wire.Head) error {
	switch {
	case len(h.Values("Content-Length"))+len(h.Values("Transfer-Encoding")) > 1:
		return fmt.Errorf("more than one framing")
	case h.Has("X-Evil"):
		return fmt.Errorf("a field of the attacker's")
	case strings.ContainsAny(h.Raw, "\x00\x1b\v\f"):
		return fmt.Errorf("control characters")
	case h.Status() == 204 && (h.Has("Content-Length") || h.Has("Transfer-Encoding")):
		return fmt.Errorf("framing in a 204")
	}
	return nil
}

// Late bytes on an idle upstream connection go nowhere. The proxy is stopped while the
// next request and then the late bytes arrive, so that it learns of both at once.
func TestHostileLateBytesOnAPooledConnection(t *testing.T) {
	for _, late := range []struct{ name, bytes string }{
		{"response", poison2}, {"one_byte", "H"}, {"interim", "HTTP/1.1 100 Continue\r\n\r\n"}, {"end", ""},
	} {
		t.Run(late.name, func(t *testing.T) {
			conns := make(chan *proc.Exchange, 8)
			g := startGround(t, func(x *proc.Exchange) {
				if strings.HasSuffix(x.Head.Target(), "/first") {
					conns <- x
				}
				echoTarget(x)
			})
			c := proc.Dial(t, g.Front())
			c.Send(get("/first"))
			c.Body(c.Response(200))
			up := <-conns
			proc.Until(t, "the pooled connection", func() error {
				if n := g.Status(t).Totals.UpstreamIdle; n != 1 {
					return fmt.Errorf("%d idle", n)
				}
				return nil
			})
			g.halt(t)
			c.Send(get("/second"))
			proc.Until(t, "the request to arrive", func() error { return arrived(c.Conn()) })
			if late.bytes == "" {
				_ = up.Conn().(interface{ CloseWrite() error }).CloseWrite()
			} else {
				_, _ = up.Conn().Write([]byte(late.bytes))
			}
			proc.Until(t, "the late bytes to arrive", func() error { return arrived(up.Conn()) })
			if err := g.Signal(syscall.SIGCONT); err != nil {
				t.Fatal(err)
			}
			h := c.Response(200)
			if h.Has("X-Evil") {
				t.Error("the client got the late bytes for its answer")
			}
			equal(t, "answer", string(c.Body(h)), "/second")
			c.Close()
			g.alive(t)
		})
	}
}

// halt stops the proxy and waits until each of its threads stands.
func (g *ground) halt(t *testing.T) {
	t.Helper()
	if err := g.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	proc.Until(t, "the proxy to stand still", func() error {
		threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", g.PID()))
		if err != nil || len(threads) == 0 {
			return fmt.Errorf("no threads: %w", err)
		}
		for _, path := range threads {
			text, err := os.ReadFile(path)
			if _, state, ok := strings.Cut(string(text), ") "); err == nil && ok && state[0] != 'T' {
				return fmt.Errorf("%s", text)
			}
		}
		return nil
	})
}

// arrived is nil once the kernel of the other side has all that was sent on a TCP
// connection, or the connection is no more.
func arrived(conn net.Conn) error {
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return err
	}
	const closed = 7 // TCP_CLOSE of the kernel's tcp_states.h
	var unacked int
	var info *unix.TCPInfo
	var err1, err2 error
	err = raw.Control(func(fd uintptr) {
		unacked, err1 = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ)
		info, err2 = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
	})
	if err := errors.Join(err, err1, err2); err != nil {
		return err
	}
	if unacked > 0 && info.State != closed {
		return fmt.Errorf("%d bytes are under way", unacked)
	}
	return nil
}

// A request that must not be done twice is not sent twice (RFC 9110 section 9.2.2), also
// where a pooled connection turns out to be dead.
func TestHostileUpstreamTakesAndCloses(t *testing.T) {
	g := startGround(t, func(x *proc.Exchange) {
		if strings.Contains(x.Head.Target(), "/take") {
			return
		}
		echoTarget(x)
	})
	c := proc.Dial(t, g.Front())
	for _, method := range []string{"POST", "PATCH", "LOCK", "MADEUP"} {
		t.Run(method, func(t *testing.T) {
			c.Send(get("/fill"))
			c.Body(c.Response(200))
			g.targets()
			c.Send(method + " /take HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")
			c.Body(c.Response(502))
			if seen := g.targets(); len(seen) != 1 {
				t.Errorf("the upstream got %s %d times", method, len(seen))
			}
		})
	}
	c.Close()
}
