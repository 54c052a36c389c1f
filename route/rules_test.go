package route_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/route"
)

// defined is a compiler that knows one map, geo or split_clients, and the text of its variable.
func defined(t testing.TB, spec route.MapSpec) route.Template {
	t.Helper()
	spec.Name = "x"
	c := newCompiler()
	for _, problem := range c.DefineMaps([]route.MapSpec{spec}) {
		t.Fatal(problem)
	}
	return compile(t, c, "$x")
}

func TestGeo(t *testing.T) {
	spec := &route.GeoSpec{
		Starts4: []uint32{0, 10 << 24, 11 << 24, 1<<32 - 1}, Index4: []uint32{0, 1, 0, 2},
		Starts6: [][16]byte{{}, {0x20, 1}, {0x20, 2}}, Index6: []uint32{3, 1, 0},
		Values: []string{"", "in", "none", "low"},
	}
	own, named := defined(t, route.MapSpec{Geo: spec}), defined(t, route.MapSpec{Source: "$arg_a", Geo: spec})
	ranges := *spec
	ranges.Starts6, ranges.Index6 = nil, nil
	only4 := defined(t, route.MapSpec{Geo: &ranges})
	for addr, want := range map[string][2]string{
		"0.0.0.0": {"", ""}, "9.255.255.255": {"", ""}, "10.0.0.0": {"in", "in"}, "10.255.255.255": {"in", "in"}, "11.0.0.0": {"", ""},
		"255.255.255.254": {"", ""}, "255.255.255.255": {"none", "none"}, "::": {"low", "none"}, "2001::": {"in", "none"},
		"2001:ffff::": {"in", "none"}, "2002::": {"", "none"}, "ffff::": {"", "none"}, "::ffff:10.1.1.1": {"in", "in"},
	} {
		e := newEnv(t, get("/?a="+addr))
		e.Remote = netip.AddrPortFrom(netip.MustParseAddr(addr), 5)
		if got := string(own.Append(nil, e)); got != want[0] {
			t.Errorf("%s: %q, want %q", addr, got, want[0])
		}
		remote := e.Remote
		e = newEnv(t, get("/"))
		e.Remote = remote
		if got := string(only4.Append(nil, e)); got != want[1] {
			t.Errorf("ranges: %s: %q, want %q", addr, got, want[1])
		}
		e = newEnv(t, get("/?a="+addr))
		if got := string(named.Append(nil, e)); got != want[0] {
			t.Errorf("named: %s: %q, want %q", addr, got, want[0])
		}
	}
	e := newEnv(t, get("/?a=nothing"))
	if got := string(named.Append(nil, e)); got != "none" {
		t.Errorf("no address: %q", got)
	}
	e.Reset()
	e.Remote = netip.AddrPort{}
	if got := string(own.Append(nil, e)); got != "none" {
		t.Errorf("a client of a unix-domain socket: %q", got)
	}
}

// The value is found once a request, as with a map, and then without an allocation.
func TestSortingAllocatesNothing(t *testing.T) {
	c := newCompiler()
	c.DefineMaps([]route.MapSpec{
		{Name: "g", Geo: &route.GeoSpec{Starts4: []uint32{0, 1 << 31}, Index4: []uint32{0, 1}, Values: []string{"a", "b"},
			Proxies: networks("192.0.2.0/24"), Recursive: true}},
		{Name: "s", Source: "$remote_addr$uri", Split: []route.SplitShare{{Hundredths: 5000, Value: "a"}, {Value: "b"}}},
	})
	referers, err := c.NewReferers(&route.ReferersSpec{
		Names: []route.RefererName{{Host: "x.test"}, {Host: "*.y.test", URI: "/a"}}, Regexps: []string{"(?i)z"},
	})
	if err != nil {
		t.Fatal(err)
	}
	link, err := c.NewSecureLink(&route.SecureLinkSpec{Link: "$arg_m,$arg_e", MD5: "key$uri$arg_e"})
	if err != nil {
		t.Fatal(err)
	}
	text := compile(t, c, "$g $s $invalid_referer $secure_link $secure_link_expires")
	head := get("/a?m=1NuXbZ6vTGCjHdJYYGvmXA&e=2000000000", "X-Forwarded-For: 10.0.0.1, 192.0.2.9", "Referer: http://A.y.test/a")
	e := newEnv(t, head)
	e.Remote = netip.MustParseAddrPort("192.0.2.1:5")
	location := &route.Location{Settings: route.Settings{Referers: referers, SecureLink: link}}
	before, out := *e, make([]byte, 0, 256)
	run := func() {
		e.Reset()
		e.Head, e.Req, e.Location, e.NowNs = before.Head, before.Req, location, startNs
		e.Args, e.URI, e.Remote = before.Args, before.URI, before.Remote
		out = text.Append(out[:0], e)
	}
	run()
	if got := string(out); !strings.HasPrefix(got, "a ") || !strings.HasSuffix(got, " 2000000000") {
		t.Errorf("%q", got)
	}
	if n := testing.AllocsPerRun(100, run); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// TestSplitAsNginx has nginx sort a thousand random texts into shares.
func TestSplitAsNginx(t *testing.T) {
	shares := []route.SplitShare{
		{Hundredths: 1, Value: "tiny"}, {Hundredths: 50, Value: "half"}, {Hundredths: 1234, Value: "some"},
		{Hundredths: 3333, Value: "third"}, {Hundredths: 2000, Value: "fifth"},
	}
	conf := `split_clients "$arg_a$arg_b" $x { .01% tiny; 0.5% half; 12.34% some; 33.33% third; 20% fifth; }
		split_clients $arg_a $y { 50% a; * b; }
		server { listen unix:DIR/split; return 200 "$x,$y"; }`
	dir := startNginx(t, conf)
	x := defined(t, route.MapSpec{Source: "$arg_a$arg_b", Split: shares})
	y := defined(t, route.MapSpec{Source: "$arg_a", Split: []route.SplitShare{{Hundredths: 5000, Value: "a"}, {Value: "b"}}})
	const keys = 1000
	rng := rand.New(rand.NewPCG(8, 9))
	var requests strings.Builder
	var want []string
	for i := range keys {
		key := make([]byte, rng.IntN(20))
		for j := range key {
			key[j] = "abcdefghijklmnopqrstuvwxyz0123456789-._~\xe9"[rng.IntN(41)]
		}
		target := fmt.Sprintf("/?a=%s&b=%d", key, i)
		fields := []string{}
		if i == keys-1 {
			fields = append(fields, "Connection: close")
		}
		requests.WriteString(get(target, fields...))
		e := newEnv(t, get(target))
		want = append(want, string(x.Append(nil, e))+","+string(y.Append(nil, newEnv(t, get(target)))))
	}
	_, answers := exchange(t, filepath.Join(dir, "split"), requests.String())
	var got []string
	for _, answer := range strings.Split(answers, "\r\n\r\n") {
		body, _, _ := strings.Cut(answer, "HTTP/1.1 ")
		got = append(got, body)
	}
	if len(got) != keys {
		t.Fatalf("%d answers", len(got))
	}
	counts := map[string]int{}
	for i := range want {
		if counts[want[i]]++; got[i] != want[i] {
			t.Errorf("text %d: nginx %q, holdfast %q", i, got[i], want[i])
		}
	}
	if len(counts) < 8 {
		t.Errorf("values %v", counts)
	}
}

func TestMurmurShares(t *testing.T) {
	half := defined(t, route.MapSpec{Source: "$arg_a", Split: []route.SplitShare{{Hundredths: 2500, Value: "in"}}})
	in := 0
	for i := range 4000 {
		e := newEnv(t, get(fmt.Sprintf("/?a=key%d", i)))
		if string(half.Append(nil, e)) == "in" {
			in++
		}
	}
	if in < 900 || in > 1100 {
		t.Errorf("%d of 4000 are in the share of 25%%", in)
	}
}

func TestForMethod(t *testing.T) {
	other := &route.Location{}
	l := &route.Location{Except: route.NewExcept([]string{"POST", "MKCOL"}, other)}
	for method, within := range map[string]bool{"POST": true, "MKCOL": true, "GET": false, "HEAD": false, "BREW": false, "MKCO": false} {
		e := newEnv(t, strings.Replace(get("/"), "GET", method, 1))
		if got := l.ForMethod(e, false); (got == l) != within || !within && got != other {
			t.Errorf("%s: %v", method, got == l)
		}
	}
	l.Except = route.NewExcept([]string{"GET"}, other)
	e := newEnv(t, strings.Replace(get("/"), "GET", "POST", 1))
	if l.ForMethod(e, false) != other || l.ForMethod(e, true) != l {
		t.Error("a request that counts as a GET")
	}
	var none *route.Location
	if none.ForMethod(e, false) != nil || other.ForMethod(e, false) != other {
		t.Error("without limit_except")
	}
}

// A map, a split_clients and a geo that use each other in a circle are refused.
func TestRulesInCircles(t *testing.T) {
	problems := newCompiler().DefineMaps([]route.MapSpec{
		{Name: "a", Source: "$b", Entries: []route.MapEntry{{Pattern: "x", Value: "y"}}},
		{Name: "b", Source: "$c", Split: []route.SplitShare{{Value: "x"}}},
		{Name: "c", Source: "$a", Geo: &route.GeoSpec{Starts4: []uint32{0}, Index4: []uint32{0}, Values: []string{""}}},
	})
	if len(problems) != 3 || !strings.Contains(problems[0].Error(), "depends on itself") {
		t.Errorf("%v", problems)
	}
}
