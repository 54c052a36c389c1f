package e2e_test

import (
	"strconv"
	"strings"
	"testing"

	"holdfast/test/proc"
	"holdfast/test/wire"
)

// Expect in all forms (RFC 9110 section 10.1.1), with bodies streamed: who waits gets the
// 100 of the backend, the body goes once and whole, and HTTP/1.0 gets no 100.
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
		{"half_the_body_at_once", head("Expect: 100-continue", "Content-Length: 3") + "a", "bc", "200"},
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
				for h.Status() == 100 && !strings.Contains(row.head, "HTTP/1.0") {
					h = c.Head() // it was not waited for
				}
				equal(t, "status", strconv.Itoa(h.Status()), status)
				c.Body(h)
			}
			if err := c.Err(); err != nil {
				t.Error(err)
			}
			c.Close()
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
