package route_test

import (
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"holdfast/httpparse"
	"holdfast/route"
)

// loc is a location in a test: what it does is "return 200 <its own text>" unless it
// has pass, the argument of proxy_pass.
type loc struct {
	text   string // as in nginx.conf: "= /x", "^~ /x", "~ x", "~* x", "/x"
	pass   string
	nested []loc
}

// split takes the modifier off the text.
func (l loc) split() (route.Modifier, string) {
	for _, m := range []route.Modifier{route.Exact, route.PrefixNoRegex, route.RegexCaseless, route.Regex} {
		if rest, ok := strings.CutPrefix(l.text, m.String()+" "); ok {
			return m, rest
		}
	}
	if strings.HasPrefix(l.text, "@") {
		return route.NamedLocation, l.text
	}
	return route.Prefix, l.text
}

// spec compiles l for the builder.
func (l loc) spec(t testing.TB, c *route.Compiler, headers []route.SetHeader) route.LocationSpec {
	t.Helper()
	modifier, pattern := l.split()
	s := route.LocationSpec{Modifier: modifier, Pattern: pattern, Location: &route.Location{Settings: settings}}
	switch modifier {
	case route.Regex:
		s.Regexp = pattern
	case route.RegexCaseless:
		s.Regexp = "(?i)" + pattern
	}
	var err error
	if l.pass != "" {
		s.Location.Proxy, err = c.NewProxy(&route.ProxySpec{
			URL: l.pass, Modifier: modifier, Pattern: pattern, SetHeaders: headers,
		})
	} else {
		s.Location.Rewrite, err = returning(c, 200, strings.ReplaceAll(l.text, "$", ""))
	}
	if err != nil {
		t.Fatalf("location %s: %v", l.text, err)
	}
	for _, n := range l.nested {
		s.Nested = append(s.Nested, n.spec(t, c, headers))
	}
	return s
}

// returning is the directives of a location that only has a return.
func returning(c *route.Compiler, code int, text string) (*route.Rewrite, error) {
	ret, err := c.NewReturn(code, text, "text/plain")
	b := c.NewRewrite()
	b.Return(ret)
	return b.Rewrite(), err
}

func specs(t testing.TB, c *route.Compiler, locations []loc, headers []route.SetHeader) []route.LocationSpec {
	t.Helper()
	var out []route.LocationSpec
	for _, l := range locations {
		out = append(out, l.spec(t, c, headers))
	}
	return out
}

var settings = route.Settings{MergeSlashes: true, IgnoreInvalidHeaders: true}

// names turns texts of server_name into specs.
func names(texts ...string) []route.ServerName {
	var out []route.ServerName
	for _, text := range texts {
		n := route.ServerName{Text: text}
		if pattern, ok := strings.CutPrefix(text, "~"); ok {
			n.Regexp = pattern
		}
		out = append(out, n)
	}
	return out
}

// newCompiler knows the named captures of the patterns.
func newCompiler(patterns ...string) *route.Compiler {
	var captures []string
	for _, p := range patterns {
		for _, name := range regexp.MustCompile(p).SubexpNames() {
			if name != "" {
				captures = append(captures, name)
			}
		}
	}
	return route.NewCompiler(route.Process{PID: 4711, Hostname: "box", Version: "0.1"}, captures)
}

// server is a table with one server on one address, named example.com.
func server(t testing.TB, c *route.Compiler, locations []route.LocationSpec) *route.Server {
	t.Helper()
	b := route.NewBuilder(c, 1)
	s, err := b.AddServer(&route.ServerSpec{
		Names: names("example.com"), Listens: []route.ListenUse{{}}, Settings: settings, Locations: locations,
	})
	if err != nil {
		t.Fatal(err)
	}
	b.Table()
	return s
}

// get is a GET request with the given target and field lines.
func get(target string, fields ...string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: example.com\r\n" + strings.Join(append(fields, "", ""), "\r\n")
}

const startNs = 1_700_000_000_123_000_000

// newEnv is an Env for a complete request head.
func newEnv(t testing.TB, head string) *route.Env {
	t.Helper()
	e := &route.Env{}
	e.Reset()
	if err := fill(e, head); err != nil {
		t.Fatalf("%q: %v", head, err)
	}
	return e
}

// fill does what a shard does with a head that has arrived.
func fill(e *route.Env, head string) error {
	e.Head = []byte(head)
	e.Req = &httpparse.Request{}
	done, refused := e.Req.Parse(e.Head)
	if refused != httpparse.OK || !done {
		return fmt.Errorf("head refused: done=%v %s", done, refused)
	}
	target, refused := httpparse.ParseTarget(e.Req.Target.Of(e.Head), e.Req.MethodID)
	if refused != httpparse.OK {
		return fmt.Errorf("target refused: %s", refused)
	}
	if refused = e.SetHost(target); refused != httpparse.OK {
		return fmt.Errorf("host refused: %s", refused)
	}
	if refused = e.SetTarget(target, true); refused != httpparse.OK {
		return fmt.Errorf("path refused: %s", refused)
	}
	e.Remote = netip.MustParseAddrPort("192.0.2.7:40000")
	e.Local = netip.MustParseAddrPort("192.0.2.1:8080")
	e.NowNs, e.StartNs, e.ConnectionStartNs = startNs+1_234_567_890, startNs, startNs-5_000_000_000
	e.Connection, e.ConnectionRequests = 99, 3
	return nil
}

// respond gives e an upstream's response head.
func respond(t testing.TB, e *route.Env, head string) {
	t.Helper()
	e.RespHead = []byte(head)
	e.Resp = &httpparse.Response{}
	if done, refused := e.Resp.Parse(e.RespHead); !done || refused != httpparse.OK {
		t.Fatalf("response head refused: done=%v %s", done, refused)
	}
}

func compile(t testing.TB, c *route.Compiler, text string) route.Template {
	t.Helper()
	tmpl, err := c.Compile(text)
	if err != nil {
		t.Fatalf("compile %q: %v", text, err)
	}
	return tmpl
}

// locate runs nginx's choice and names the outcome.
func locate(s *route.Server, e *route.Env) string {
	e.Server = s
	l, redirect := s.Locate(e)
	switch {
	case l == nil:
		return "none"
	case redirect:
		return "redirect " + l.Name
	}
	return l.Name
}
