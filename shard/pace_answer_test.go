package shard

import (
	"strings"
	"testing"

	"holdfast/route"
)

// pacedSite has answers of this rate; the texts are those of the directives.
func pacedSite(t *testing.T, download, after, upstream string) site {
	t.Helper()
	return site{set: func(s *route.Settings) {
		s.Buffering, s.BuffersSize = true, 64<<10
		if err := s.Limits.SetRates(route.NewCompiler(route.Process{}, nil), download, after, upstream); err != nil {
			t.Fatal(err)
		}
	}}
}

// pausing waits until the only session waits for its pace.
func (w *world) pausing() {
	w.t.Helper()
	w.eventually("an answer that is paced", func(sh *Shard) bool {
		s := only(sh)
		return s != nil && s.request != 0 && sh.cold(s).wait == waitPace
	})
}

// hurry lifts the limits of the only session, and has it go on.
func (w *world) hurry() {
	w.t.Helper()
	w.ask(func(sh *Shard) {
		if s := only(sh); s != nil && s.request != 0 {
			sh.cold(s).down.pacing = pacing{}
		}
	})
	w.expireNow()
}

// A body that came whole goes to the client in parts, the first at once.
func TestLimitRate(t *testing.T) {
	for _, download := range []string{"100", "$arg_rate"} {
		w := newWorld(t, pacedSite(t, download, "1k", ""))
		c := w.client()
		c.send(get("/x?rate=100") + get("/own"))
		u := w.upstream()
		u.head()
		body := strings.Repeat("0123456789", 10_000)
		u.sendf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		w.pausing()
		c.head()
		w.ask(func(sh *Shard) {
			r := sh.cold(only(sh))
			if most := 1024 + 100*(1+(sh.nowMs-r.down.pacing.sinceMs)/1000+1); r.down.sent > most || r.down.sent < 1024 {
				t.Errorf("%d bytes were sent", r.down.sent)
			}
		})
		w.hurry()
		c.want(body)
		c.status(200)
	}
}

// The upstream may be read no faster than proxy_limit_rate, and limits nothing where
// proxy_buffering is off.
func TestProxyLimitRate(t *testing.T) {
	for _, buffering := range []bool{true, false} {
		st := pacedSite(t, "", "", "100")
		inner := st.set
		st.set = func(s *route.Settings) {
			inner(s)
			s.Buffering = buffering
		}
		w := newWorld(t, st)
		c := w.client()
		c.send(get("/x"))
		u := w.upstream()
		u.head()
		body := strings.Repeat("0123456789", 30_000)
		u.sendf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(body))
		w.state(Body)
		go func() { _, _ = u.Write([]byte(body)) }()
		c.head()
		if buffering {
			w.pausing()
			w.hurry()
		}
		c.want(body)
	}
}

// What is paced goes on by itself.
func TestPaceGoesOn(t *testing.T) {
	for _, tls := range []legs{{}, {down: true, up: true}} {
		st := pacedSite(t, "64k", "", "64k")
		st.tls = tls
		w := newWorld(t, st)
		c := w.client()
		c.send(get("/x"))
		u := w.upstream()
		u.head()
		body := strings.Repeat("0123456789", 8_000)
		u.sendf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n", len(body), body)
		_, got := c.response("GET")
		if got != body {
			t.Errorf("%d bytes came, want %d", len(got), len(body))
		}
	}
}

// TestRoom pins the arithmetic, which is nginx's but for its whole seconds.
func TestRoom(t *testing.T) {
	sh := &Shard{nowMs: 10_000}
	for _, tc := range []struct {
		pacing
		sent, want int64
	}{
		{pacing{}, 1 << 40, 500},
		{pacing{rate: 100, sinceMs: 10_000}, 0, 100},
		{pacing{rate: 100, sinceMs: 10_000}, 99, 1},
		{pacing{rate: 100, sinceMs: 10_000}, 100, 0},
		{pacing{rate: 100, sinceMs: 8_500}, 100, 150},
		{pacing{rate: 100, sinceMs: 11_000}, 90, 10},
		{pacing{rate: 100, free: 1000, sinceMs: 10_000}, 1050, 50},
		{pacing{rate: rateMax - 1, sinceMs: -1 << 40}, 1 << 50, 500},
		{pacing{rate: 1000, sinceMs: 10_000}, 0, 500},
	} {
		if got := sh.room(&flow{pacing: tc.pacing, sent: tc.sent}, 500); got != int(tc.want) {
			t.Errorf("%+v: %d bytes, want %d", tc, got, tc.want)
		}
	}
	for _, tc := range [][5]int64{ // rate, moved, left, for, wait
		{100, 100, 1000, 0, 250}, {100, 100, 10, 0, 100}, {100, 100, 0, 0, 10}, {3, 3, 100, 0, 334}, {100, 350, 1000, 2000, 750},
	} {
		if got := pauseMs(tc[0], tc[1], tc[2], tc[3]); got != tc[4] {
			t.Errorf("%v: %d ms", tc, got)
		}
	}
}
