package route_test

import (
	"bufio"
	"bytes"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"holdfast/httpparse"
	"holdfast/route"
)

// naive finds a location the slow way: by trying all of them, as nginx's
// documentation tells it. Its results are those of locate.
func naive(locations []loc, uri string) (found string, final bool) {
	longest, longestText, noRegex, nested, redirect := -1, "", false, []loc(nil), ""
	equal := false
	for _, l := range locations {
		m, pattern := l.split()
		switch m {
		case route.Exact:
			if uri == pattern {
				return l.text, true
			}
		case route.Prefix, route.PrefixNoRegex:
			if strings.HasPrefix(uri, pattern) && len(pattern) > longest {
				longest, longestText, noRegex, nested = len(pattern), l.text, m == route.PrefixNoRegex, l.nested
				equal = uri == pattern
			}
		default:
			continue
		}
		if l.pass != "" && pattern == uri+"/" && (redirect == "" || m == route.Exact) {
			redirect = "redirect " + l.text
		}
	}
	if redirect != "" && !equal {
		return redirect, true
	}
	found = "none"
	if longest >= 0 {
		found = longestText
		inner, final := naive(nested, uri)
		if final {
			return inner, true
		}
		if inner != "none" {
			found = inner
		}
	}
	if noRegex {
		return found, false
	}
	for _, l := range locations {
		m, pattern := l.split()
		if m == route.RegexCaseless {
			pattern = "(?i)" + pattern
		} else if m != route.Regex {
			continue
		}
		if !regexp.MustCompile(pattern).MatchString(uri) {
			continue
		}
		if inner, _ := naive(l.nested, uri); inner != "none" {
			return strings.TrimPrefix(inner, "redirect "), true
		}
		return l.text, true
	}
	return found, false
}

// parseSite reads locations from text: words apart by spaces, a "+" before a word
// proxies it, "=", "^", "~" and "*" before that are the modifiers, ">" before
// everything nests it in the location before. What nginx would refuse is left out.
func parseSite(text string) []loc {
	var out []loc
	taken := map[string]bool{}
	for _, word := range strings.Fields(text) {
		if len(out) >= 24 {
			break
		}
		word, nests := strings.CutPrefix(word, ">")
		l := loc{}
		word, proxied := strings.CutPrefix(word, "+")
		if proxied {
			l.pass = "http://back"
		}
		kind := ""
		if word != "" {
			kind = map[byte]string{'=': "= ", '^': "^~ ", '~': "~ ", '*': "~* "}[word[0]]
			if kind != "" {
				word = word[1:]
			}
		}
		regex := strings.HasPrefix(kind, "~")
		if _, err := regexp.Compile(word); word == "" || regex && err != nil || !regex && word[0] != '/' ||
			strings.ContainsAny(word, "$") {
			continue
		}
		l.text = kind + word
		key := strings.TrimPrefix(l.text, "^~ ")
		if nests && len(out) > 0 {
			parent := &out[len(out)-1]
			m, pattern := parent.split()
			inside := regex || m >= route.Regex || strings.HasPrefix(word, pattern)
			if m != route.Exact && inside && !taken[parent.text+">"+key] {
				taken[parent.text+">"+key] = true
				parent.nested = append(parent.nested, l)
			}
			continue
		}
		if !regex && taken[key] {
			continue
		}
		taken[key] = true
		out = append(out, l)
	}
	return out
}

func FuzzRoute(f *testing.F) {
	f.Add("/ /a/ =/a/ /a/b ^/a/b/c ~b *C$", "/a/b/c", "X: y", "$uri$args")
	f.Add("+/a/ >+/a/b/ >~x$ ~^/a$ /a! =/b +/b/", "/a", "Connection: x, y", "$http_x")
	f.Add("/a/ >^/a/b/ >~y$ ~z$ >~q", "/a/b/qz?x=%00", "Upgrade: h2c\r\nConnection: Upgrade", "${arg_x}$1")
	f.Add("~(.)(.) /aa /aaa /aab /ab", "/aab/../%2e%2e", "Upgrade: websocket\r\nConnection: upgrade", "$cookie_a$m")
	f.Add("+=/p/ +/p/ /", "http://h/p", "Authorization: Basic eDp5\r\nCookie: a=b", "$remote_user")
	f.Fuzz(func(t *testing.T, site, target, fields, text string) {
		locations := parseSite(site)
		e := &route.Env{}
		e.Reset()
		if fill(e, "GET "+target+" HTTP/1.1\r\nHost: example.com\r\n"+fields+"\r\n\r\n") != nil {
			return
		}
		c := newCompiler()
		if problems := c.DefineMaps([]route.MapSpec{
			{Source: "$uri$http_x", Name: "m", Default: "<$1>", Entries: []route.MapEntry{{Regexp: "/(.*)", Value: "$1$arg_x"}}},
		}); len(problems) > 0 {
			t.Fatal(problems[0])
		}
		s := server(t, c, specs(t, c, locations, []route.SetHeader{
			{Name: "Upgrade", Value: "$http_upgrade"}, {Name: "X-M", Value: "$m$uri"},
		}))
		want, _ := naive(locations, string(e.URI))
		if got := locate(s, e); got != want {
			t.Fatalf("%q in %q: got %q, want %q", e.URI, site, got, want)
		}
		location, redirect := s.Locate(e)
		switch {
		case redirect:
			checkReply(t, route.AppendSlashRedirect(nil, e, location, route.ReplyForm{}))
		case location != nil && location.Proxy != nil:
			e.Location = location
			checkRequest(t, location.Proxy, e)
		}
		if tmpl, err := c.Compile(text); err == nil {
			line := tmpl.AppendLog(nil, e, route.EscapeJSON)
			if at := bytes.IndexAny(line, "\r\n"); at >= 0 && !strings.ContainsAny(text, "\r\n") {
				t.Fatalf("a line end in a log line: %q", line)
			}
			if r, err := c.NewReturn(301, text, ""); err == nil {
				checkReply(t, r.Append(nil, e, route.ReplyForm{}))
			}
		}
	})
}

// checkRequest demands that what we send upstream is a request by our own rules, and
// one request only.
func checkRequest(t *testing.T, p *route.Proxy, e *route.Env) {
	t.Helper()
	framing, refused := e.Req.Framing(e.Head)
	if refused != httpparse.OK {
		return
	}
	form := route.RequestForm{Framing: framing, Upgrade: e.Req.Upgrade(e.Head)}
	head, sent := p.AppendRequest(nil, e, form)
	var out httpparse.Request
	done, refused := out.Parse(head)
	if !done || refused != httpparse.OK || out.HeadLen != len(head) {
		t.Fatalf("%q: done=%v %s, %d of %d bytes", head, done, refused, out.HeadLen, len(head))
	}
	if again, refused := out.Framing(head); refused != httpparse.OK || again != framing {
		t.Fatalf("%q: framing %v became %v, %s", head, framing, again, refused)
	}
	if asked := out.Upgrade(head) != httpparse.UpgradeNone; asked != sent.Upgrade {
		t.Fatalf("%q: upgrade=%v, reported %v", head, asked, sent.Upgrade)
	}
	if httpparse.ListHas(head, out.Fields, httpparse.FieldUpgrade, "h2c") {
		t.Fatalf("%q: h2c was passed on", head)
	}
}

// checkReply demands that net/http reads exactly one response.
func checkReply(t *testing.T, answer []byte) {
	t.Helper()
	in := bufio.NewReaderSize(bytes.NewReader(answer), 1<<20)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		t.Fatalf("%q: %v", answer, err)
	}
	var body bytes.Buffer
	if _, err := body.ReadFrom(resp.Body); err != nil || in.Buffered() != 0 {
		t.Fatalf("%q: %v, %d bytes behind", answer, err, in.Buffered())
	}
}
