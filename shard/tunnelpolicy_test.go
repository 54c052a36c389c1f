package shard

import (
	"strconv"
	"strings"
	"testing"

	"holdfast/observe"
	"holdfast/route"
)

// fewTunnels is a site with a tunnels_max.
func fewTunnels(most int64) (site, *TunnelCounts) {
	counts := &TunnelCounts{}
	number := counts.Open("here")
	return site{
		policy: Policy{LingerMs: 30_000, LingerReadMs: 5_000, TunnelCount: number},
		set: func(s *route.Settings) {
			s.TunnelCount, s.TunnelsMax, s.TunnelsRetry = number, most, 10
		},
		options: func(o *Options) { o.TunnelCounts = counts },
	}, counts
}

// live waits until so many are counted.
func (w *world) live(counts *TunnelCounts, want int64) {
	w.t.Helper()
	w.eventually(strconv.FormatInt(want, 10)+" counted", func(*Shard) bool { return counts.At(1).Live() == want })
}

func TestTunnelsMax(t *testing.T) {
	st, counts := fewTunnels(2)
	w := newWorld(t, st)
	down, _ := w.tunnel()
	w.tunnel()
	if n := counts.At(1).Live(); n != 2 {
		t.Errorf("%d counted", n)
	}
	delays := map[string]bool{}
	for range 20 {
		c := w.client()
		c.send(wsAsk)
		delay := c.status(503).Header.Get("Retry-After")
		if n, err := strconv.Atoi(delay); err != nil || n < 10 || n > 15 {
			t.Fatalf("Retry-After %q", delay)
		}
		delays[delay] = true
		c.Close()
	}
	if len(delays) < 3 {
		t.Errorf("delays: %v", delays)
	}
	c := w.client()
	c.send(get("/")) // is no tunnel
	u := w.upstream()
	u.head()
	u.send(okAnswer)
	c.status(200)
	w.logged(w.errors, `limiting tunnels by tunnels_max of "here"`)
	if n := counts.At(1).Refused(); n != 20 {
		t.Errorf("%d refused", n)
	}
	w.ask(func(sh *Shard) {
		if n := sh.counters.Upgrades[observe.OutcomeRejected]; n != 20 {
			t.Errorf("%d upgrades rejected", n)
		}
	})
	down.reset()
	w.live(counts, 1)
	w.tunnel()
	w.live(counts, 2)
}

// Whatever comes of a handshake, its place is given back.
func TestTunnelsMaxGivesBack(t *testing.T) {
	st, counts := fewTunnels(1)
	w := newWorld(t, st)
	c := w.client()
	c.send(wsAsk)
	u := w.upstream()
	u.head()
	w.live(counts, 1)
	u.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\n12345")
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 403 ") {
		t.Errorf("answer %q", head)
	}
	w.live(counts, 0) // although the answer is not over
	u.send("67890")
	c.want("1234567890")
	c.send(wsAsk) // the same connection again
	u = w.upstream()
	u.head()
	w.live(counts, 1)
	u.send("nonsense\r\n\r\n")
	c.status(502)
	w.live(counts, 0)
	gone := w.client()
	gone.send(wsAsk)
	w.upstream().head()
	w.live(counts, 1)
	gone.reset()
	w.live(counts, 0)
	down, up := w.tunnel()
	w.live(counts, 1)
	w.leaveNow()
	up.wantClose(true)
	down.wantClose(false)
	w.live(counts, 1) // it still has its sockets
	down.send(closeReply)
	up.send(closeTold)
	w.live(counts, 0)
}

func TestTunnelCounts(t *testing.T) {
	var counts TunnelCounts
	one, two := counts.Open("one"), counts.Open("two")
	if one == two || one == 0 || two == 0 || counts.Open("one") != one || counts.At(two).Name() != "two" {
		t.Errorf("numbers %d and %d", one, two)
	}
}

func TestOriginIsJudged(t *testing.T) {
	c := route.NewCompiler(route.Process{}, nil)
	origins, err := c.NewOrigins(&route.OriginsSpec{Values: []string{"https://good.example"}})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, site{set: func(s *route.Settings) { s.Origins = origins }})
	with := func(fields string) string { return strings.TrimSuffix(wsAsk, "\r\n") + fields + "\r\n" }
	for _, fields := range []string{
		"", "Origin: https://bad.example\r\n", "Origin: https://good.example\r\nOrigin: https://good.example\r\n",
		"Origin: https://good.example/\r\n", "Origin: x\", client: \"1.2.3.4\r\n", "Origin:\r\n",
	} {
		c := w.client()
		c.send(with(fields))
		c.status(403)
		c.Close()
	}
	w.logged(w.errors, `client's Origin is not allowed by websocket_origin: "https://bad.example", client: 127.0.0.1`)
	w.logged(w.errors, `websocket_origin: "x\x22, client: \x221.2.3.4"`)
	down := w.client()
	down.send(with("Origin: https://GOOD.example:443\r\n"))
	up := w.upstream()
	up.head()
	up.send(wsAnswer)
	if head := down.head(); !strings.HasPrefix(head, "HTTP/1.1 101 ") {
		t.Errorf("answer %q", head)
	}
	plain := w.client()
	plain.send("GET / HTTP/1.1\r\nHost: a\r\nOrigin: https://bad.example\r\n\r\n")
	u := w.upstream()
	u.head()
	u.send(okAnswer)
	plain.status(200)
	w.ask(func(sh *Shard) {
		if n := sh.counters.Upgrades[observe.OutcomeRejected]; n != 6 {
			t.Errorf("%d upgrades rejected, want 6", n)
		}
	})
}

// What a handshake says of subprotocols and extensions passes as it is, in its order.
func TestSubprotocolsPass(t *testing.T) {
	w := newWorld(t, site{})
	const offers = "Sec-WebSocket-Protocol: chat,  superchat\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n" +
		"Sec-WebSocket-Protocol: v2.Bin\r\nSec-WebSocket-Extensions: x-own; a=\"1, 2\"\r\n"
	down := w.client()
	down.send(strings.TrimSuffix(wsAsk, "\r\n") + offers + "\r\n")
	up := w.upstream()
	head := up.head()
	at := 0
	for line := range strings.SplitSeq(strings.TrimSuffix(offers, "\r\n"), "\r\n") {
		next := strings.Index(head[at:], line)
		if next < 0 {
			t.Fatalf("the upstream got %q", head)
		}
		at += next
	}
	const chosen = "Sec-WebSocket-Protocol: v2.Bin\r\nSec-WebSocket-Extensions: x-own; a=\"1, 2\"\r\n"
	up.send(strings.TrimSuffix(wsAnswer, "\r\n") + chosen + "\r\n")
	if head := down.head(); !strings.HasPrefix(head, "HTTP/1.1 101 ") || !strings.Contains(head, chosen) {
		t.Errorf("answer %q", head)
	}
}
