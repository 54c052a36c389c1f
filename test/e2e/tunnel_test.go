package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"testing"

	"holdfast/test/proc"
	"holdfast/test/wire"
)

// Bytes glued to the upgrade request reach the backend, but only after its 101.
func TestBytesGluedBehindTheUpgradeRequest(t *testing.T) {
	for _, size := range []int{1, 5, 700, 60_000, 300_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			glued := wire.ClientFrame(wire.OpBinary, bytes.Repeat([]byte{'g'}, size))
			later := wire.ClientFrame(wire.OpText, []byte("later"))
			failed := make(chan error, 2)
			b := proc.NewBackend(t, func(x *proc.Exchange) {
				x.ExpectSilence()
				x.Switch()
				x.ExpectBytes(glued).ExpectBytes(later).Send("all there")
				failed <- x.Err()
			})
			both(t, to(b), func(t *testing.T, p *proc.Proxy) {
				c := proc.Dial(t, p.Front())
				c.SendBytes(append([]byte(wire.UpgradeRequest("x", "/")), glued...))
				c.Response(101)
				c.SendBytes(later).Expect("all there")
				if err := <-failed; err != nil {
					t.Error("backend: ", err)
				}
			})
		})
	}
}

// Bytes glued to the 101 reach the client, first and complete.
func TestBytesGluedBehindThe101(t *testing.T) {
	for _, size := range []int{1, 700, 3_000, 60_000, 300_000} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			glued := wire.ServerFrame(wire.OpBinary, bytes.Repeat([]byte{'g'}, size))
			b := proc.NewBackend(t, func(x *proc.Exchange) {
				x.Switch(glued...)
				x.Expect("go on").Send("later")
				x.WaitEnd()
			})
			both(t, to(b), func(t *testing.T, p *proc.Proxy) {
				c := proc.Dial(t, p.Front())
				c.Handshake("x", "/")
				c.ExpectBytes(glued).Send("go on").Expect("later")
			})
		})
	}
}

// Bytes glued on both sides at once, the head itself arriving byte by byte.
func TestGluedBothWaysInSmallPieces(t *testing.T) {
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		head := wire.SwitchResponse(x.Head.Get("Sec-WebSocket-Key"))
		x.SendEach([]byte(head+"from the backend"), 1)
		x.Expect("from the client")
		x.WaitEnd()
	})
	both(t, to(b), func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		c.SendEach([]byte(wire.UpgradeRequest("x", "/")+"from the client"), 1)
		c.Response(101)
		c.Expect("from the backend")
	})
}

// A refused upgrade stays HTTP: the answer is relayed whole, the connection lives on,
// and what was pipelined behind is another request, never tunnelled.
func TestRefusedUpgradeStaysHTTP(t *testing.T) {
	b := proc.NewBackend(t, proc.ByPath(map[string]proc.Behaviour{
		"/ws":   proc.Answer(403, "not for you", "X-Why: closed", "Content-Type: text/plain"),
		"/next": proc.Answer(200, "plain"),
	}))
	both(t, to(b), func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		c.Send(wire.UpgradeRequest("x", "/ws") + get("/next"))
		h := c.Response(403)
		equal(t, "X-Why", h.Get("X-Why"), "closed")
		equal(t, "Upgrade present", h.Has("Upgrade"), false)
		equal(t, "body", string(c.Body(h)), "not for you")
		equal(t, "next body", string(c.Body(c.Response(200))), "plain")
		equal(t, "next target", b.Last(t).Head.Target(), "/next")
		if p.Kind == proc.Holdfast {
			equal(t, "refused", p.Status(t).Totals.Upgrades["refused"], 1)
		}
	})
}

// A frame pipelined behind a refused upgrade never reaches the backend.
func TestFrameBehindARefusedUpgradeIsNotRelayed(t *testing.T) {
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		proc.Answer(403, "no")(x)
		if b, _ := io.ReadAll(x.Reader()); len(b) > 0 {
			t.Errorf("behind the refused upgrade the backend got %q", b)
		}
		x.Keep = false
	})
	both(t, to(b), func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		c.SendBytes(append([]byte(wire.UpgradeRequest("x", "/")), wire.ClientFrame(wire.OpText, []byte("\x00\x01"))...))
		c.Body(c.Response(403))
		c.Response(400)
		c.ExpectEnd()
	})
}

// A 101 nobody asked for, or one without the Upgrade field, is a bad gateway.
func TestUnfitting101IsABadGateway(t *testing.T) {
	b := proc.NewBackend(t, proc.ByPath(map[string]proc.Behaviour{
		"/unasked": func(x *proc.Exchange) { x.Switch(); x.WaitEnd() },
		"/bare": func(x *proc.Exchange) {
			x.Send("HTTP/1.1 101 Switching Protocols\r\n\r\n")
			x.WaitEnd()
		},
	}))
	p := holdfast(t, to(b))
	c := proc.Dial(t, p.Front())
	c.Send(get("/unasked"))
	c.Body(c.Response(502))
	c.Close()
	c = proc.Dial(t, p.Front())
	c.Send(wire.UpgradeRequest("x", "/bare"))
	c.Body(c.Response(502))
	equal(t, "failed", p.Status(t).Totals.Upgrades["failed"], 1)
	equal(t, "tunnels", p.Status(t).Totals.Tunnels, 0)
}

// A message for each direction and its answer, which is larger than any buffer.
var (
	clientQuestion = wire.ClientFrame(wire.OpText, []byte("question"))
	serverQuestion = wire.ServerFrame(wire.OpText, []byte("question"))
	clientAnswer   = wire.ClientFrame(wire.OpText, bytes.Repeat([]byte("answer "), 50_000))
	serverAnswer   = wire.ServerFrame(wire.OpText, bytes.Repeat([]byte("answer "), 50_000))
)

// The client's FIN is passed on after its bytes; the other direction lives on.
func TestHalfCloseByTheClient(t *testing.T) {
	failed := make(chan error, 1)
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		x.Switch()
		x.ExpectBytes(clientQuestion).ExpectEOF()
		x.SendBytes(serverAnswer)
		failed <- x.Err()
	})
	p := holdfast(t, to(b))
	c := proc.Dial(t, p.Front())
	c.Handshake("x", "/")
	c.SendBytes(clientQuestion).CloseWrite()
	c.ExpectBytes(serverAnswer).ExpectEOF()
	if err := <-failed; err != nil {
		t.Error("backend: ", err)
	}
	closedOnce(t, p, "done", "client")
}

// The backend's FIN is passed on after its bytes; the other direction lives on.
func TestHalfCloseByTheBackend(t *testing.T) {
	failed := make(chan error, 1)
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		x.Switch()
		x.SendBytes(serverQuestion).CloseWrite()
		x.ExpectBytes(clientAnswer).ExpectEOF()
		failed <- x.Err()
	})
	p := holdfast(t, to(b))
	c := proc.Dial(t, p.Front())
	c.Handshake("x", "/")
	c.ExpectBytes(serverQuestion).ExpectEOF()
	c.SendBytes(clientAnswer).CloseWrite()
	if err := <-failed; err != nil {
		t.Error("backend: ", err)
	}
	closedOnce(t, p, "done", "upstream")
}

// A half-closed tunnel is still a tunnel: it is counted, and its open half relays.
func TestHalfClosedTunnelIsCountedAndRelays(t *testing.T) {
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		x.Switch()
		x.CloseWrite()
		for range 100 {
			x.ExpectBytes(clientQuestion)
		}
		x.WaitEnd()
	})
	p := holdfast(t, to(b))
	c := proc.Dial(t, p.Front())
	c.Handshake("x", "/")
	c.ExpectEOF()
	for i := range 100 {
		c.SendBytes(clientQuestion)
		if i == 50 {
			equal(t, "tunnels", p.Status(t).Totals.Tunnels, 1)
		}
	}
	c.CloseWrite()
	closedOnce(t, p, "done", "upstream")
}

// A reset of either side ends the other side too.
func TestEndsReachTheOtherSide(t *testing.T) {
	ended := make(chan error, 1)
	b := proc.NewBackend(t, proc.ByPath(map[string]proc.Behaviour{
		"/backend-resets": func(x *proc.Exchange) {
			x.Switch()
			x.Expect("now")
			x.Reset()
		},
		"/client-resets": func(x *proc.Exchange) {
			x.Switch()
			x.ExpectEnd()
			ended <- x.Err()
		},
	}))
	both(t, to(b), func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		c.Handshake("x", "/backend-resets")
		c.Send("now").ExpectEnd()

		c = proc.Dial(t, p.Front())
		c.Handshake("x", "/client-resets")
		c.Reset()
		if err := <-ended; err != nil {
			t.Error("the backend did not see the end: ", err)
		}
	})
}

// TERM ends a proxy that holds tunnels at once; both sides see the end.
func TestFastStopWithOpenTunnels(t *testing.T) {
	b := proc.NewBackend(t, proc.Echo())
	both(t, to(b), func(t *testing.T, p *proc.Proxy) {
		var clients []*proc.Raw
		for range 20 {
			c := proc.Dial(t, p.Front())
			c.Handshake("x", "/")
			clients = append(clients, c.EchoText("held"))
		}
		p.Stop(t, sigTERM)
		for _, c := range clients {
			c.ExpectEnd()
		}
		proc.Until(t, "the backend's connections to end", func() error {
			if n := b.Open(); n != 0 {
				return fmt.Errorf("%d open", n)
			}
			return nil
		})
	})
}

// QUIT with nothing to wait for ends a proxy cleanly.
func TestGracefulStopWhenIdle(t *testing.T) {
	b := proc.NewBackend(t, proc.Echo())
	both(t, to(b), func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		c.Handshake("x", "/")
		c.EchoText("once").Close()
		p.Stop(t, sigQUIT)
	})
}
