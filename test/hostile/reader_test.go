package hostile_test

import (
	"strings"
	"testing"

	"holdfast/test/hostile"
)

// What each reader makes of the same bytes: the number of whole requests, or "bad".
func TestReadersDisagree(t *testing.T) {
	const host = "Host: a\r\n"
	post := func(lines, behind string) string { return "POST /c HTTP/1.1\r\n" + host + lines + "\r\n" + behind }
	next := "GET /n HTTP/1.1\r\n" + host + "\r\n"
	for name, row := range map[string]struct{ data, want string }{
		"two":                  {post("Content-Length: 3\r\n", "abc"+next), "2 2 2 2 2"},
		"chunked":              {post("Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n0\r\n\r\n"+next), "2 2 2 2 2"},
		"trailers":             {post("Transfer-Encoding: chunked\r\n", "0\r\nX: y\r\n\r\n"+next), "2 2 2 2 2"},
		"cl and te":            {post("Content-Length: 38\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"+next), "bad 2 0 2 2"},
		"two lengths":          {post("Content-Length: 0\r\nContent-Length: 28\r\n", next), "bad 1 2 1 1"},
		"xchunked":             {post("Transfer-Encoding: xchunked\r\nContent-Length: 33\r\n", "0\r\n\r\n"+next), "bad 1 1 2 1"},
		"bare LF":              {"GET / HTTP/1.1\nHost: a\n\n" + next, "bad 2 2 2 2"},
		"bare CR":              {post("X: y\rContent-Length: 28\r\n", next), "bad 2 2 2 1"},
		"underscore":           {post("Content_Length: 28\r\n", next), "2 2 1 1 2"},
		"size with LF":         {post("Transfer-Encoding: chunked\r\n", "0\n\r\n"+next), "bad 2 2 2 2"},
		"extension with a CR":  {post("Transfer-Encoding: chunked\r\n", "3;a\rb\r\nabc\r\n0\r\n\r\n"), "bad 1 1 1 0"},
		"framing in a trailer": {post("Transfer-Encoding: chunked\r\n", "0\r\nContent-Length: 9\r\n\r\n"), "bad 1 1 1 1"},
		"no Host":              {"GET / HTTP/1.1\r\n\r\n", "bad 1 1 1 1"},
		"cut":                  {post("Content-Length: 5\r\n", "abc"), "0 0 0 0 0"},
	} {
		var got []string
		for _, r := range hostile.Readers {
			whole, bad := 0, false
			for _, m := range r.Requests([]byte(row.data)) {
				bad = bad || m.Bad != ""
				if m.Whole {
					whole++
				}
			}
			text := string(rune('0' + whole))
			if bad && r.Name == "strict" {
				text = "bad"
			}
			got = append(got, text)
		}
		if text := strings.Join(got, " "); text != row.want {
			t.Errorf("%s: %s, want %s", name, text, row.want)
		}
	}
}

func TestResponses(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\n"
	for name, row := range map[string]struct {
		data, methods string
		fin           bool
		whole         int
		bad           bool
	}{
		"length":              {ok + "Content-Length: 3\r\n\r\nabc", "GET", false, 1, false},
		"interim":             {"HTTP/1.1 103 Hints\r\n\r\n" + ok + "Content-Length: 0\r\n\r\n", "GET", false, 2, false},
		"HEAD":                {ok + "Content-Length: 3\r\n\r\n" + ok + "Content-Length: 3\r\n\r\nabc", "HEAD GET", false, 2, false},
		"until the end":       {ok + "\r\nabc", "GET", true, 1, false},
		"until an end to be":  {ok + "\r\nabc", "GET", false, 0, false},
		"cut":                 {ok + "Content-Length: 9\r\n\r\nabc", "GET", true, 0, false},
		"204 with a length":   {"HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\n", "GET", false, 1, true},
		"four digits":         {"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", "GET", false, 1, true},
		"control in a reason": {"HTTP/1.1 200 \x1b\r\nContent-Length: 0\r\n\r\n", "GET", false, 1, true},
	} {
		whole, bad := 0, false
		for _, m := range hostile.Readers[0].Responses([]byte(row.data), strings.Fields(row.methods), row.fin) {
			bad = bad || m.Bad != ""
			if m.Whole {
				whole++
			}
		}
		if whole != row.whole || bad != row.bad {
			t.Errorf("%s: %d whole, bad %v; want %d, %v", name, whole, bad, row.whole, row.bad)
		}
	}
}

// The corpus is large, says what it is about, and no payload is there twice.
func TestCorpusIsSound(t *testing.T) {
	all, err := hostile.Corpus()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 320 {
		t.Errorf("%d cases", len(all))
	}
	seen := map[string]string{}
	for _, c := range all {
		var key strings.Builder
		for _, steps := range [][]hostile.Step{c.Request, c.Response} {
			for _, s := range steps {
				key.Write(s.Bytes)
				key.WriteByte(byte(s.Then))
			}
			key.WriteString("\xff|")
		}
		if other := seen[key.String()]; other != "" {
			t.Errorf("%s and %s are the same", c.Name, other)
		}
		seen[key.String()] = c.Name
	}
}
