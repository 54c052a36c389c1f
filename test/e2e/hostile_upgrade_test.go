package e2e_test

import (
	"strconv"
	"strings"
	"testing"

	"holdfast/test/proc"
	"holdfast/test/wire"
)

// turn is one attack on the switch of protocols.
type turn struct {
	clause string
	send   string
	want   string // as in smuggle
	asked  string // the Upgrade field the backend sees, "" for none, "-" for no request
}

// asks is a GET that asks for the given protocols, with other lines.
func asks(protocols string, lines ...string) string {
	lines = append([]string{"GET /t HTTP/1.1", "Host: a", "Connection: Upgrade", "Upgrade: " + protocols}, lines...)
	return wire.Lines(lines...)
}

func turns() []turn {
	ws := func(lines ...string) string { return wire.UpgradeRequest("a", "/t", lines...) }
	return []turn{
		{"refused_then_pipelined", ws() + get("/next"), "403 200+", "websocket"},
		{"refused_then_frames", ws() + string(halfFrame), "403 400", "websocket"},
		{"7540_3.2_h2c", asks("h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"), "403+", ""},
		{"7540_3.2_H2C", asks("H2C"), "403+", ""},
		{"7540_3.2_h2c_behind_websocket", asks("websocket, h2c"), "403+", "websocket"},
		{"7540_3.2_h2c_before_websocket", asks("h2c, websocket"), "403+", "websocket"},
		{"7540_3.2_h2c_in_another_line", asks("websocket", "Upgrade: h2c"), "403+", "websocket"},
		{"7540_3.2_h2c_with_version", asks("h2c/1"), "403+", "?"},
		{"7540_3.2_h2", asks("h2"), "403+", "?"},
		{"7540_3.2_h2c_with_a_body", "POST /t HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\n" +
			"Upgrade: h2c\r\nHTTP2-Settings: AA\r\nContent-Length: 3\r\n\r\nabc", "403+", ""},
		{"9110_7.8_no_Connection", "GET /t HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n", "403+", ""},
		{"9110_7.8_Connection_only", "GET /t HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\n\r\n", "403+", ""},
		{"9110_7.8_HTTP_1.0", "GET /t HTTP/1.0\r\nHost: a\r\nConnection: upgrade, keep-alive\r\nUpgrade: websocket\r\n\r\n", "403+", ""},
		{"6455_4.1_with_CL_0", ws("Content-Length: 0"), "403+", "websocket"},
		{"6455_4.1_with_a_body", ws("Content-Length: 35") + smuggled, "400", "-"},
		{"6455_4.1_chunked", ws("Transfer-Encoding: chunked") + "0\r\n\r\n" + smuggled, "400", "-"},
		{"6455_4.1_POST", strings.Replace(ws(), "GET", "POST", 1), "403+", "?"},
		{"Connection_names_the_key", ws("Connection: Sec-WebSocket-Key, Sec-WebSocket-Version"), "403+", "websocket"},
		{"two_Upgrades", ws("Upgrade: websocket"), "403+", "?"},
		{"CRLF_cannot_be_smuggled_in_it", asks("websocket\rX-Evil: yes"), "400", "-"},
	}
}

// What a client can do with an upgrade that the backend refuses: it stays HTTP.
func TestHostileUpgrade(t *testing.T) {
	g := startGround(t, func(x *proc.Exchange) {
		if x.Head.Target() == "/t" {
			proc.Answer(403, "no")(x)
			return
		}
		echoTarget(x)
	})
	for _, row := range turns() {
		t.Run(row.clause, func(t *testing.T) {
			c := proc.Try(g.Front())
			defer c.Close()
			from := len(g.backend.Seen())
			c.Send(row.send)
			want, open := strings.CutSuffix(row.want, "+")
			for _, status := range strings.Fields(want) {
				h := c.Head()
				if got := strconv.Itoa(h.Status()); got != status {
					t.Fatalf("got %q, %v, want %s", h.Start, c.Err(), row.want)
				}
				c.Body(h)
			}
			if open {
				c.Send(get("/after"))
				equal(t, "the next answer", string(c.Body(c.Response(200))), "/after")
			} else {
				c.ExpectEnd()
			}
			c.Close()
			seen := g.backend.Seen()[from:]
			for _, x := range seen {
				if err := honest(x.Head); err != nil || x.Head.Target() == "/smuggled" {
					t.Errorf("the backend got %q: %v", x.Head.Raw, err)
				}
			}
			switch asked := row.asked; {
			case asked == "-":
				equal(t, "requests at the backend", len(seen), 0)
			case len(seen) == 0 || seen[0].Head.Target() != "/t":
				t.Error("the backend saw no request")
			case asked != "?":
				equal(t, "Upgrade", strings.Join(seen[0].Head.Values("Upgrade"), " | "), asked)
			}
			if len(seen) > 0 && strings.Contains(strings.ToLower(seen[0].Head.Get("Upgrade")+seen[0].Head.Get("HTTP2-Settings")), "h2c") {
				t.Errorf("h2c went through: %q", seen[0].Head.Raw)
			}
			g.alive(t)
			g.settled(t)
		})
	}
}

// Expect in all forms (RFC 9110 section 10.1.1): the body goes once, whole, and the
// backend never waits for a 100 that is not its own.
func TestHostileExpect(t *testing.T) {
	g := startGround(t, echoTarget)
	head := func(lines ...string) string {
		return wire.Lines(append([]string{"POST /e HTTP/1.1", "Host: a"}, lines...)...)
	}
	for _, row := range []struct{ name, head, body, want string }{
		{"waits", head("Expect: 100-continue", "Content-Length: 3"), "abc", "100 200"},
		{"upper_case", head("Expect: 100-CONTINUE", "Content-Length: 3"), "abc", "100 200"},
		{"chunked", head("Expect: 100-continue", "Transfer-Encoding: chunked"), "3\r\nabc\r\n0\r\n\r\n", "100 200"},
		{"without_a_body", head("Expect: 100-continue"), "", "200"},
		{"length_0", head("Expect: 100-continue", "Content-Length: 0"), "", "200"},
		{"does_not_wait", head("Expect: 100-continue", "Content-Length: 3") + "abc", "", "200"},
		{"half_the_body_at_once", head("Expect: 100-continue", "Content-Length: 3") + "a", "bc", "100 200"},
		{"too_large", head("Expect: 100-continue", "Content-Length: 2000000"), "", "413"},
		{"in_1.0", strings.Replace(head("Expect: 100-continue", "Content-Length: 3", "Connection: keep-alive"), "1.1", "1.0", 1),
			"abc", "200"},
		{"with_an_upgrade", wire.UpgradeRequest("a", "/e", "Expect: 100-continue"), "", "200"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := proc.Try(g.Front())
			defer c.Close()
			c.Send(row.head)
			statuses := strings.Fields(row.want)
			if statuses[0] == "100" {
				c.Response(100)
				statuses = statuses[1:]
			}
			c.Send(row.body)
			for _, status := range statuses {
				h := c.Head()
				equal(t, "status", strconv.Itoa(h.Status()), status)
				c.Body(h)
			}
			if err := c.Err(); err != nil {
				t.Error(err)
			}
			c.Close()
			for _, x := range g.backend.Seen() {
				if x.Head.Has("Expect") {
					t.Errorf("the backend got %q", x.Head.Raw)
				}
			}
			g.alive(t)
			g.settled(t)
		})
	}
}

// The client cannot take away, or add to, what the proxy says about it.
func TestHostileFieldsOfOurs(t *testing.T) {
	g := startGround(t, echoTarget)
	for name, lines := range map[string][]string{
		"own_values":       {"X-Real-IP: 6.6.6.6", "X-Forwarded-For: 6.6.6.6"},
		"twice":            {"X-Real-IP: 6.6.6.6", "X-Real-IP: 7.7.7.7"},
		"other_case":       {"x-real-ip: 6.6.6.6", "X-FORWARDED-FOR: 6.6.6.6"},
		"underscores":      {"X_Real_IP: 6.6.6.6", "X_Forwarded_For: 6.6.6.6"},
		"Connection_names": {"Connection: X-Real-IP, X-Forwarded-For, Host, close"},
		"Connection_bomb":  {"Connection: " + strings.Repeat("X-Real-IP,", 300)},
		"absolute_form":    {"X-Real-IP: 6.6.6.6"},
	} {
		t.Run(name, func(t *testing.T) {
			target := "/ours/x"
			if name == "absolute_form" {
				target = "http://evil.example/ours/x"
			}
			c := proc.Dial(t, g.Front())
			c.Send(wire.Lines(append([]string{"GET " + target + " HTTP/1.1", "Host: evil.example"}, lines...)...))
			c.Body(c.Response(200))
			c.Close()
			h := g.backend.Last(t).Head
			if err := honest(h); err != nil {
				t.Error(err)
			}
			for field, want := range map[string]string{
				"Host": "fixed.example", "X-Real-IP": "127.0.0.1", "X-Forwarded-For": "127.0.0.1",
			} {
				equal(t, field, strings.Join(h.Values(field), " | "), want)
			}
			if strings.Contains(h.Raw, "6.6.6.6") {
				t.Errorf("the client's word reached the backend: %q", h.Raw)
			}
		})
	}
}
