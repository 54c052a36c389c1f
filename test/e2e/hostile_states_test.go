package e2e_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"holdfast/test/proc"
	"holdfast/test/wire"
)

// leaving is one way of a client or an upstream to go at the worst moment.
type leaving struct {
	name     string
	upstream proc.Behaviour // for the request's path
	client   func(c *proc.Raw, path string)
}

var (
	halfFrame = wire.ClientFrame(wire.OpBinary, make([]byte, 100))[:40]
	bigBlock  = make([]byte, 1<<20)
)

// flood writes until the peer is gone or the connection is closed under it.
func flood(conn net.Conn) {
	_ = conn.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
	for {
		if _, err := conn.Write(bigBlock); err != nil {
			return
		}
	}
}

// bigFrame is the head of a frame that nobody will finish.
const bigFrame = "\x82\xff\x00\x00\x7f\xff\xff\xff\xff\xff\x00\x00\x00\x00"

// uploads begins an upload of which the given part is sent.
func uploads(c *proc.Raw, path, body string) {
	c.Send("POST " + path + " HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\n\r\n" + body)
}

func heads() map[string]string {
	return map[string]string{
		"nothing": "", "one_byte": "G", "line": "GET /own/ HTTP/1.1\r\n", "half_field": "GET /own/ HTTP/1.1\r\nHost: te",
		"last_LF": "GET /own/ HTTP/1.1\r\nHost: a\r\n\r", "empty_lines": "\r\n\r\n", "CR": "\r",
	}
}

// headLeavings are the ends before a request is whole.
func headLeavings() []leaving {
	var rows []leaving
	for name, head := range heads() {
		for end, leave := range map[string]func(*proc.Raw){
			"FIN": func(c *proc.Raw) { c.CloseWrite().ExpectEnd() }, "RST": (*proc.Raw).Reset, "close": (*proc.Raw).Close,
		} {
			rows = append(rows, leaving{"head_" + name + "_" + end, nil, func(c *proc.Raw, _ string) {
				c.Send(head)
				leave(c)
			}})
		}
	}
	return rows
}

// begins sends the beginning of an answer and waits for the end.
func begins(answer string) proc.Behaviour {
	return func(x *proc.Exchange) { x.Send(answer); x.WaitEnd() }
}

// upgraded switches, then plays on.
func upgraded(then func(x *proc.Exchange)) proc.Behaviour {
	return func(x *proc.Exchange) {
		x.Switch()
		_ = x.Conn().SetDeadline(time.Time{})
		then(x)
	}
}

// floods fills the tunnel towards the client without reading, then leaves.
func floods(leave func(x *proc.Exchange)) proc.Behaviour {
	return upgraded(func(x *proc.Exchange) {
		_, _ = x.Conn().Write([]byte(bigFrame))
		flood(x.Conn())
		leave(x)
	})
}

func exchangeLeavings() []leaving {
	const stall = ok200 + "Content-Length: 100\r\n\r\nabc"
	rst, fin := (*proc.Raw).Reset, func(c *proc.Raw) { c.CloseWrite() }
	return []leaving{
		{"connect_RST", nil, func(c *proc.Raw, _ string) { c.Send(get("/hole/x")); settle(); rst(c) }},
		{"connect_FIN", nil, func(c *proc.Raw, _ string) { c.Send(get("/hole/x")); settle(); fin(c); c.ExpectEnd() }},
		{"connect_upgrade_RST", nil, func(c *proc.Raw, _ string) { c.Send(wire.UpgradeRequest("a", "/hole/x")); settle(); rst(c) }},
		{"wait_RST", proc.Silent(), func(c *proc.Raw, p string) { c.Send(get(p)); settle(); rst(c) }},
		{"wait_FIN", proc.Silent(), func(c *proc.Raw, p string) { c.Send(get(p)); fin(c); c.ExpectEnd() }},
		{"wait_pipelined_RST", proc.Silent(), func(c *proc.Raw, p string) { c.Send(get(p) + get(p)); settle(); rst(c) }},
		{"wait_upgrade_glued_RST", proc.Silent(), func(c *proc.Raw, p string) {
			c.Send(wire.UpgradeRequest("a", p) + string(halfFrame))
			settle()
			rst(c)
		}},
		{"body_RST", proc.Silent(), func(c *proc.Raw, p string) { uploads(c, p, "abc"); settle(); rst(c) }},
		{"body_FIN", proc.Silent(), func(c *proc.Raw, p string) { uploads(c, p, "abc"); fin(c); c.ExpectEnd() }},
		{"body_none_FIN", proc.Silent(), func(c *proc.Raw, p string) { uploads(c, p, ""); fin(c); c.ExpectEnd() }},
		{"chunk_FIN", proc.Silent(), func(c *proc.Raw, p string) {
			c.Send("POST " + p + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")
			fin(c)
			c.ExpectEnd()
		}},
		{"expect_RST", begins(wire.Lines("HTTP/1.1 100 Continue")), func(c *proc.Raw, p string) {
			c.Send("POST " + p + " HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n")
			c.Response(100)
			rst(c)
		}},
		{"answer_stalled_RST", begins(stall), func(c *proc.Raw, p string) { c.Send(get(p)).Response(200); rst(c) }},
		{"answer_stalled_FIN", begins(stall), func(c *proc.Raw, p string) { c.Send(get(p)).Response(200); fin(c); c.ExpectEnd() }},
		{"answer_half_head_RST", begins(ok200 + "X: "), func(c *proc.Raw, p string) { c.Send(get(p)); settle(); rst(c) }},
		{"answer_early_to_upload_RST", begins(stall), func(c *proc.Raw, p string) { uploads(c, p, "a"); c.Response(200); rst(c) }},
		{"answer_early_to_upload_FIN", begins(stall), func(c *proc.Raw, p string) { uploads(c, p, "a"); c.Response(200); fin(c); c.ExpectEnd() }},
		{"answer_whole_to_half_an_upload", func(x *proc.Exchange) {
			x.Send(ok200 + "Content-Length: 3\r\n\r\nabc")
			x.WaitEnd()
		}, func(c *proc.Raw, p string) { uploads(c, p, "a"); c.Body(c.Response(200)); c.ExpectEnd() }},
		{"answer_then_upstream_RST_mid_upload", func(x *proc.Exchange) { x.Reset() }, func(c *proc.Raw, p string) {
			uploads(c, p, "a")
			c.Response(502)
			c.ExpectEnd()
		}},
		{"answer_flood_zero_window_RST", func(x *proc.Exchange) {
			x.Send(ok200 + "Content-Length: 1000000000\r\n\r\n")
			flood(x.Conn())
		}, func(c *proc.Raw, p string) { c.Send(get(p)); settle(); rst(c) }},
		{"answer_flood_zero_window_times_out", func(x *proc.Exchange) {
			x.Send(ok200 + "Content-Length: 1000000000\r\n\r\n")
			flood(x.Conn())
			x.WaitEnd()
		}, func(c *proc.Raw, p string) { c.Send(get("/quick" + p)); <-time.After(time.Second); c.ExpectEnd() }},
		{"upload_zero_window_upstream_RST", func(x *proc.Exchange) { settle(); x.Reset() }, func(c *proc.Raw, p string) {
			c.Send("POST " + p + " HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n" + strings.Repeat("b", 80_000))
			c.Response(502)
		}},
	}
}

func tunnelLeavings() []leaving {
	switched := func(then func(c *proc.Raw)) func(*proc.Raw, string) {
		return func(c *proc.Raw, p string) { c.Handshake("a", p); then(c) }
	}
	end := func(c *proc.Raw) { c.ExpectEnd() }
	wait := upgraded((*proc.Exchange).WaitEnd)
	fills := func(then func(*proc.Raw)) func(*proc.Raw, string) {
		return switched(func(c *proc.Raw) { c.Send(bigFrame); flood(c.Conn()); then(c) })
	}
	idle := func(x *proc.Exchange) { _ = x.Conn().SetDeadline(time.Time{}); settle() }
	return []leaving{
		{"101_client_RST", wait, func(c *proc.Raw, p string) { c.Send(wire.UpgradeRequest("a", p)); rstNow(c) }},
		{"101_upstream_FIN", upgraded(func(*proc.Exchange) {}), switched(end)},
		{"101_upstream_RST", upgraded(func(x *proc.Exchange) { x.Reset() }), func(c *proc.Raw, p string) {
			c.Send(wire.UpgradeRequest("a", p)).ExpectEnd()
		}},
		{"101_both_RST", upgraded(func(x *proc.Exchange) { x.Reset() }), func(c *proc.Raw, p string) {
			c.Send(wire.UpgradeRequest("a", p))
			rstNow(c)
		}},
		{"tunnel_client_RST", wait, switched((*proc.Raw).Reset)},
		{"tunnel_client_close", wait, switched((*proc.Raw).Close)},
		{"tunnel_half_frame_FIN", wait, switched(func(c *proc.Raw) { c.SendBytes(halfFrame).CloseWrite().ExpectEnd() })},
		{"tunnel_client_half_closed_upstream_RST", upgraded(func(x *proc.Exchange) { x.WaitEnd(); x.Reset() }),
			switched(func(c *proc.Raw) { c.CloseWrite().ExpectEnd() })},
		{"tunnel_upstream_half_closed_client_RST", upgraded(func(x *proc.Exchange) { x.CloseWrite(); x.WaitEnd() }),
			switched(func(c *proc.Raw) { c.ExpectEOF(); c.Reset() })},
		{"tunnel_upstream_half_closed_client_FIN", upgraded(func(x *proc.Exchange) { x.CloseWrite(); x.WaitEnd() }),
			switched(func(c *proc.Raw) { c.ExpectEOF(); c.Send("still here").CloseWrite() })},
		{"tunnel_both_FIN_at_once", upgraded(func(x *proc.Exchange) { x.CloseWrite(); x.WaitEnd() }),
			switched(func(c *proc.Raw) { c.CloseWrite().ExpectEnd() })},
		{"blocked_both_client_RST", floods((*proc.Exchange).WaitEnd), fills((*proc.Raw).Reset)},
		{"blocked_both_upstream_RST", floods(func(x *proc.Exchange) { x.Reset() }), fills(end)},
		{"blocked_both_client_FIN", floods((*proc.Exchange).WaitEnd), fills(func(c *proc.Raw) { c.CloseWrite(); end(c) })},
		{"blocked_both_upstream_FIN", floods(func(x *proc.Exchange) { x.CloseWrite(); x.WaitEnd() }),
			fills(func(c *proc.Raw) { c.CloseWrite(); end(c) })},
		{"blocked_up_client_RST", upgraded(idle), fills((*proc.Raw).Reset)},
		{"blocked_down_upstream_RST", floods(func(x *proc.Exchange) { x.Reset() }), switched(func(c *proc.Raw) { settle(); end(c) })},
		{"blocked_down_client_half_closed", floods((*proc.Exchange).WaitEnd),
			switched(func(c *proc.Raw) { c.CloseWrite(); settle(); end(c) })},
		{"blocked_both_times_out", floods((*proc.Exchange).WaitEnd), func(c *proc.Raw, p string) {
			fills(func(c *proc.Raw) { <-time.After(time.Second); end(c) })(c, "/quick"+p)
		}},
	}
}

// frameAttacks are client streams that are not WebSocket framing, or nearly: the proxy
// passes them on as they are and does not fall over them.
func frameLeavings() []leaving {
	echoes := upgraded(func(x *proc.Exchange) { _, _ = io.Copy(x.Conn(), x.Reader()); x.CloseWrite() })
	var rows []leaving
	for name, bytes := range map[string]string{
		"reserved_bits":     "\xf1\x80\x01\x02\x03\x04",
		"reserved_opcode":   "\x83\x80\x01\x02\x03\x04\x8f\x80\x01\x02\x03\x04",
		"length_2^63":       "\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00abcd",
		"length_all_ones":   "\x82\xff\xff\xff\xff\xff\xff\xff\xff\xffabcdefgh",
		"length_2^56":       "\x82\xff\x01\x00\x00\x00\x00\x00\x00\x00abcd",
		"length_2^56-1":     "\x82\xff\x00\xff\xff\xff\xff\xff\xff\xffabcdzz",
		"not_minimal":       "\x82\xff\x00\x00\x00\x00\x00\x00\x00\x01abcdz",
		"long_control":      "\x89\xfe\x00\x7e1234" + strings.Repeat("p", 126),
		"fragmented_close":  "\x08\x80\x01\x02\x03\x04\x80\x80\x01\x02\x03\x04",
		"unmasked":          "\x81\x03abc",
		"zeros":             strings.Repeat(nul, 1000),
		"ones":              strings.Repeat("\xff", 1000),
		"HTTP_again":        get("/smuggled"),
		"continuation_only": strings.Repeat("\x00\x80\x01\x02\x03\x04", 50),
	} {
		for _, each := range []int{1, 7, 1 << 20} {
			rows = append(rows, leaving{fmt.Sprintf("frames_%s_by_%d", name, each), echoes, func(c *proc.Raw, p string) {
				c.Handshake("a", p)
				go func() { _ = proc.NewRaw(c.Conn()).SendEach([]byte(bytes), each).CloseWrite() }()
				c.Expect(bytes).ExpectEnd()
			}})
		}
	}
	return rows
}

// settle gives the proxy the time to get where the case wants it. Being late only makes a
// case weaker; no result depends on it.
func settle() { <-time.After(20 * time.Millisecond) }

func rstNow(c *proc.Raw) { runtime.Gosched(); c.Reset() }

// Every way to leave at every moment: the proxy lets go of everything and serves on.
func TestHostileLeaving(t *testing.T) {
	paths := map[string]proc.Behaviour{}
	var rows []leaving
	for _, group := range [][]leaving{headLeavings(), exchangeLeavings(), tunnelLeavings(), frameLeavings()} {
		rows = append(rows, group...)
	}
	for _, row := range rows {
		paths["/"+row.name] = row.upstream
	}
	g := startGround(t, func(x *proc.Exchange) {
		if play := paths[strings.TrimPrefix(x.Head.Target(), "/quick")]; play != nil {
			play(x)
			return
		}
		echoTarget(x)
	})
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			c := proc.Try(g.Front())
			defer c.Close()
			row.client(c, "/"+row.name)
			if err := c.Err(); err != nil && !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, net.ErrClosed) &&
				!errors.Is(err, syscall.EPIPE) {
				t.Error(err)
			}
			c.Close()
			g.alive(t)
			g.settled(t)
		})
	}
	g.calm(t, "after all cases")
	if reasons := g.Status(t).Totals.TunnelCloses; len(reasons) == 0 {
		t.Error("no tunnel close was counted")
	}
}

// The same ends while nobody leaves: the stuck states cost no CPU, and end all at once.
func TestHostileStuckStatesAreIdle(t *testing.T) {
	stall := ok200 + "Content-Length: 100\r\n\r\nabc"
	measured := make(chan struct{})
	g := startGround(t, func(x *proc.Exchange) {
		switch path := x.Head.Target(); {
		case strings.HasPrefix(path, "/stall"):
			x.Send(stall)
			x.WaitEnd()
		case strings.HasPrefix(path, "/half-head"):
			x.Send("HTTP/1.1 200 O")
			x.WaitEnd()
		case strings.HasPrefix(path, "/silent"):
			x.WaitEnd()
		case strings.HasPrefix(path, "/half-closed"):
			upgraded(func(x *proc.Exchange) { x.CloseWrite(); x.WaitEnd() })(x)
		case strings.HasPrefix(path, "/waits"):
			upgraded(func(x *proc.Exchange) { x.WaitEnd(); <-measured })(x)
		case strings.HasPrefix(path, "/flood"):
			floods((*proc.Exchange).WaitEnd)(x)
		default:
			echoTarget(x)
		}
	})
	var clients []*proc.Raw
	open := func(bytes string) *proc.Raw {
		c := proc.Dial(t, g.Front())
		clients = append(clients, c)
		return c.Send(bytes)
	}
	for range 5 {
		open("")
		open("GET / HT")
		open(get("/own/"))
		open(get("/stall"))
		open(get("/stall") + get("/stall"))
		open(get("/half-head"))
		open(get("/silent"))
		open(get("/hole/"))
		uploads(open(""), "/silent", "abc")
		uploads(open(""), "/stall", "abc")
		open("POST /own/ HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab")
		open("").Handshake("a", "/half-closed")
		open("").Handshake("a", "/waits")
		half := open("")
		half.Handshake("a", "/waits-half")
		half.CloseWrite()
		full := open("")
		full.Handshake("a", "/flood")
		full.Send(bigFrame)
		go flood(full.Conn())
	}
	settle()
	g.calm(t, "while everything is stuck")
	close(measured)
	for _, c := range clients {
		c.Reset()
	}
	g.settled(t)
	g.alive(t)
	g.calm(t, "after all have left")
}

// A thousand connections opened and reset at once, at four moments.
func TestHostileStorm(t *testing.T) {
	g := startGround(t, proc.Silent())
	for name, bytes := range map[string]string{
		"silent": "", "half_a_head": "GET / HTTP/1.1\r\nHo", "upgrade": wire.UpgradeRequest("a", "/storm"), "request": get("/own/"),
	} {
		t.Run(name, func(t *testing.T) {
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() {
					for range 20 {
						c := proc.Try(g.Front())
						c.Send(bytes)
						c.Reset()
					}
				})
			}
			wg.Wait()
			g.alive(t)
			g.settled(t)
		})
	}
	g.calm(t, "after the storm")
}
