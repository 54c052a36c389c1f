package shard

import (
	"strings"
	"testing"

	"holdfast/route"
)

// A handshake that breaks RFC 6455 ends here, unless websocket_strict is off.
func TestStrictHandshake(t *testing.T) {
	without := func(line string) string { return strings.Replace(wsAsk, line+"\r\n", "", 1) }
	with := func(old, with string) string { return strings.Replace(wsAsk, old, with, 1) }
	for _, tc := range []struct {
		name, ask string
		status    int
	}{
		{"version 8", with("Version: 13", "Version: 8"), 426},
		{"no version", without("Sec-WebSocket-Version: 13"), 426},
		{"no key", without("Sec-WebSocket-Key: " + wsKey), 400},
		{"short key", with(wsKey, "c2hvcnQ="), 400},
		{"POST", with("GET", "POST"), 400},
		{"HTTP/1.0", with("HTTP/1.1", "HTTP/1.0"), 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld(t, site{})
			c := w.client()
			c.send(tc.ask)
			resp := c.status(tc.status)
			if v := resp.Header.Get("Sec-WebSocket-Version"); (v == "13") != (tc.status == 426) {
				t.Errorf("Sec-WebSocket-Version %q", v)
			}
			if len(w.access.String()) > 0 && w.sh.counters.UpstreamConnects != 0 {
				t.Error("the upstream was asked")
			}
		})
	}
}

func TestLaxHandshake(t *testing.T) {
	w := newWorld(t, site{set: func(s *route.Settings) { s.WebsocketStrict = false }})
	c := w.client()
	c.send(strings.Replace(wsAsk, "Version: 13", "Version: 8", 1))
	u := w.upstream()
	u.head()
	u.send(strings.Replace(wsAnswer, wsAccept, "whatever", 1))
	if head := c.head(); !strings.HasPrefix(head, "HTTP/1.1 101 ") {
		t.Errorf("answer %q", head)
	}
}

// OPTIONS * reaches the upstream of the path "/".
func TestOptionsOfTheServer(t *testing.T) {
	for _, target := range []string{"*", "http://a"} {
		w := newWorld(t, site{})
		c := w.client()
		c.send("OPTIONS " + target + " HTTP/1.1\r\nHost: a\r\n\r\n")
		u := w.upstream()
		if head := u.head(); !strings.HasPrefix(head, "OPTIONS * HTTP/1.1\r\n") {
			t.Errorf("head %q", head)
		}
		u.send(okAnswer)
		c.status(200)
	}
}

// A head that was refused in its middle goes to no upstream, whatever error_page says.
func TestRefusedHeadStaysHere(t *testing.T) {
	r := newRig(t, site{set: func(s *route.Settings) {
		pages, err := route.NewCompiler(route.Process{}, nil).NewErrorPages([]route.ErrorPageSpec{
			{Statuses: []int{400}, Overwrite: route.KeepStatus, Target: "@page"},
		})
		if err != nil {
			t.Fatal(err)
		}
		s.ErrorPages = pages
	}}, place{at: "/", up: 1}, place{at: "@page", up: 1})
	c := r.client()
	c.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nno field\r\n\r\n")
	c.status(400)
	c.end()
}
