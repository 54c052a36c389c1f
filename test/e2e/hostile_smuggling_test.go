package e2e_test

import (
	"strconv"
	"strings"
	"testing"

	"holdfast/test/proc"
)

// smuggle is one attack on the way a request is delimited. Everything behind what the
// proxy must take for the request asks for /smuggled, which no backend may ever see.
type smuggle struct {
	clause string
	send   string
	want   string // the statuses in order; "+" behind them: the connection goes on
	sees   string // the targets the backend sees; "?": the request whose body is at fault, or nothing
}

const (
	smuggled = "GET /smuggled HTTP/1.1\r\nHost: s\r\n\r\n"
	nul      = "\x00"
)

// post is a POST head with the given lines, and whatever follows it.
func post(lines string, behind string) string {
	return "POST /p HTTP/1.1\r\nHost: a\r\n" + lines + "\r\n" + behind
}

// chunked is a POST in the chunked coding with the given body bytes.
func chunked(body string) string { return post("Transfer-Encoding: chunked\r\n", body) }

// attacks are those that need a location of their own; test/hostile has the corpus of the
// others.
func attacks() []smuggle {
	return []smuggle{
		{"9112_6.3_own_answer_eats_body", "POST /own/ HTTP/1.1\r\nHost: a\r\nContent-Length: 35\r\n\r\n" + smuggled, "200+", ""},
		{"9112_6.3_own_answer_then_next",
			"POST /own/ HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc" + get("/next"), "200 200+", "/next"},
		{"9112_7.1_to_a_1.0_upstream", "POST /old/p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" +
			"3\r\nabc\r\n0\r\n\r\n", "200+", "/old/p"},
		{"9110_15.5.14_chunks_past_the_limit", "POST /small/p HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" +
			"c8\r\n" + strings.Repeat("b", 200) + "\r\n0\r\n\r\n" + smuggled, "413", ""},
		{"9110_15.5.14_length_past_the_limit", "POST /small/p HTTP/1.1\r\nHost: a\r\nContent-Length: 200\r\n\r\n" +
			strings.Repeat("b", 200) + smuggled, "413", ""},
		{"CRLF_in_uri_to_a_field", get("/path/a%0d%0aX-Evil:%20yes%0d%0a%0d%0aGET%20/"), "200+",
			"/path/a%0d%0aX-Evil:%20yes%0d%0a%0d%0aGET%20/"},
		{"CRLF_in_args_to_a_field", get("/args/a?a=b%0d%0aX-Evil:%20yes"), "200+", "/args/a?a=b%0d%0aX-Evil:%20yes"},
		{"CRLF_in_uri_to_Location", get("/moved/a%0d%0aX-Evil:%20yes"), "302+", ""},
		{"CRLF_in_uri_to_proxy_pass", get("/mapped/a%0d%0ab%20HTTP/1.1"), "200+", "/other/a%0D%0Ab%20HTTP/1.1"},
	}
}

// What a request is, where it ends, and that nothing else ever reaches a backend.
func TestHostileSmuggling(t *testing.T) {
	g := startGround(t, echoTarget)
	for _, row := range attacks() {
		t.Run(row.clause, func(t *testing.T) { g.smuggle(t, row) })
	}
	g.calm(t, "after all attacks")
}

func (g *ground) smuggle(t *testing.T, row smuggle) {
	c := proc.Try(g.Front())
	defer c.Close()
	go func() { _, _ = c.Conn().Write([]byte(row.send)) }()
	want, open := strings.CutSuffix(row.want, "+")
	sees := strings.Fields(row.sees)
	answered := 0
	for _, status := range strings.Fields(want) {
		h := c.Head()
		if c.Err() != nil {
			t.Errorf("want %s: %v", row.want, c.Err())
			break
		}
		if got := strconv.Itoa(h.Status()); got != status {
			t.Errorf("got %q, want status %s", h.Start, status)
		}
		if strings.HasPrefix(row.send, "HEAD") {
			continue
		}
		body := string(c.Body(h))
		if h.Status() == 200 && answered < len(sees) && body != "own\n" {
			equal(t, "answer", body, sees[answered])
			answered++
		}
		if h.Has("X-Evil") {
			t.Errorf("a field of the attacker's came back: %q", h.Raw)
		}
	}
	if open {
		c.Send(get("/after"))
		equal(t, "answer on the same connection", string(c.Body(c.Response(200))), "/after")
		sees = append(sees, "/after")
	} else {
		c.ExpectEnd()
	}
	if c.Err() != nil && !t.Failed() {
		t.Error(c.Err())
	}
	c.Close()
	g.alive(t)
	from := g.mark
	got := strings.Join(g.targets(), " ")
	if row.sees == "?" && (got == "" || got == "/p" || got == "/small/p") {
		got = "?"
	}
	if got != strings.Join(sees, " ") {
		t.Errorf("the backend saw %q, want %q", got, sees)
	}
	for _, x := range g.backend.Seen()[from:] {
		if err := honest(x.Head); err != nil {
			t.Errorf("the backend got %q: %v", x.Head.Raw, err)
		}
		if x.Head.Has("X-Evil") || x.Head.Has("X-Real-IP") {
			t.Errorf("a field of the attacker's reached the backend: %q", x.Head.Raw)
		}
	}
	g.settled(t)
}
