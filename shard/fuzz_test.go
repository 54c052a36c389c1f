package shard

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"holdfast/route"
)

// quick makes every limit short, so that no input can hold a session for long.
func quick(s *route.Settings) {
	s.ClientHeaderTimeout, s.ClientBodyTimeout, s.ClientSendTimeout = 2000, 2000, 2000
	s.KeepaliveTimeout, s.LingeringTime, s.LingeringTimeout = 2000, 500, 200
	s.ConnectTimeout, s.SendTimeout, s.ReadTimeout = 2000, 2000, 2000
}

var quickPolicy = Policy{TunnelReadMs: 2000, TunnelBlockedMs: 2000, LingerMs: 500, LingerReadMs: 200, Logs: LogSet{1}}

// settled fails unless the shard comes back to nothing, after it has taken all that the
// fuzz target dialed and closed.
func (w *world) settled() {
	w.t.Helper()
	w.dialed++
	w.eventually("nothing left", func(sh *Shard) bool {
		bufs, _ := sh.bufs.Lent()
		held, _ := sh.mover.Bufs.Lent()
		return sh.counters.Accepted == w.dialed && sh.sessions.Len()-len(sh.closed) == 0 &&
			bufs+held+sh.pipes.Lent()+sh.requests.lent() == 0 && sh.timers.Len() == 0 && sh.counters.Tunnels == 0 &&
			w.peer.Connections.Load() == int64(sh.pooled.Len())
	})
}

// serve answers whatever the shard asks, by what the target begins with.
func (w *world) serve(answer func(head string) string) {
	go func() {
		for {
			c, err := w.back.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				buf := make([]byte, 64<<10)
				for {
					_ = c.SetDeadline(time.Now().Add(deadline))
					n, err := c.Read(buf)
					if err != nil {
						return
					}
					text := answer(string(buf[:n]))
					if _, err := io.WriteString(c, text); err != nil || text == "" {
						return
					}
				}
			}()
		}
	}()
}

// FuzzShardClient sends any bytes as a client, cut in two, to a shard whose upstream
// answers in several ways. Whatever they are, nothing is left behind.
func FuzzShardClient(f *testing.F) {
	for _, seed := range []string{
		get("/x"), get("/x") + get("/own") + get("/y"), wsAsk + emptyFrame, "GET / HTTP/1.0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + get("/"),
		"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks("a", "bc") + get("/"),
		"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n",
		"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", get("/drop"), "\r\n\r\n\x00", get("/close"),
	} {
		f.Add([]byte(seed), uint16(len(seed)/2), byte(len(seed)))
	}
	w := newWorld(f, site{set: quick, policy: quickPolicy, noVar: true})
	w.serve(func(head string) string {
		switch {
		case strings.Contains(head, "websocket"):
			return wsAnswer + "\x81\x02hi"
		case strings.Contains(head, "/close"):
			return ""
		case strings.Contains(head, "/c"):
			return "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks("hello")
		}
		return okAnswer
	})
	f.Fuzz(func(t *testing.T, data []byte, cut uint16, how byte) {
		w.t = t
		c, err := net.Dial("tcp", w.front)
		w.check(err)
		defer c.Close()
		at := min(int(cut), len(data))
		_, _ = c.Write(data[:at])
		if how&1 != 0 {
			w.ask(func(*Shard) {})
		}
		_, _ = c.Write(data[at:])
		switch how >> 1 % 4 {
		case 0:
			_ = c.(*net.TCPConn).SetLinger(0)
		case 1:
			_ = c.(*net.TCPConn).CloseWrite()
			_ = c.SetReadDeadline(time.Now().Add(3 * time.Millisecond))
			_, _ = io.Copy(io.Discard, c)
		case 2:
			_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
			_, _ = c.Read(make([]byte, 100))
		}
		c.Close()
		w.settled()
	})
}

// FuzzShardUpstream answers a client's request, or upgrade, with any bytes.
func FuzzShardUpstream(f *testing.F) {
	for _, seed := range []string{
		okAnswer, okAnswer + okAnswer, wsAnswer + "\x81\x02hi", "HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks("a", "bc"), "HTTP/1.0 200 OK\r\n\r\nhello",
		"HTTP/1.1 100 Continue\r\n\r\n" + okAnswer, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "\x00",
	} {
		for how := range byte(8) {
			f.Add([]byte(seed), uint16(len(seed)/2), how)
		}
	}
	w := newWorld(f, site{set: quick, policy: quickPolicy, noVar: true})
	asks := []string{
		get("/x"), wsAsk + emptyFrame, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.0\r\n\r\n",
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + get("/"),
		"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500\r\n\r\nhello", get("/x") + get("/y"), wsAsk,
	}
	f.Fuzz(func(t *testing.T, data []byte, cut uint16, how byte) {
		w.t = t
		done := make(chan struct{})
		go func() { // one answer for each connection that is made, then the end
			defer close(done)
			for {
				c, err := w.back.Accept()
				if err != nil {
					return
				}
				_ = c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
				_, _ = c.Read(make([]byte, 4096))
				at := min(int(cut), len(data))
				_, _ = c.Write(data[:at])
				_, _ = c.Write(data[at:])
				if how&8 != 0 {
					_ = c.(*net.TCPConn).SetLinger(0)
				}
				c.Close()
			}
		}()
		c, err := net.Dial("tcp", w.front)
		w.check(err)
		_, _ = io.WriteString(c, asks[how%8])
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Millisecond))
		_, _ = io.Copy(io.Discard, c)
		c.Close()
		w.settled()
		_ = w.back.SetDeadline(time.Now())
		<-done
		_ = w.back.SetDeadline(time.Time{})
	})
}
