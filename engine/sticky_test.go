package engine

import (
	"strings"
	"testing"

	"holdfast/admin"
	"holdfast/route"
	"holdfast/upstream"
)

const stickyText = `http {
  upstream plain { server 10.0.0.1:1; server 10.0.0.2:1; }
  upstream byCookie { sticky cookie srv expires=1h domain=$host path=/ httponly; server 10.0.0.1:1; server 10.0.0.2:1 route=two; }
  upstream byRoute { ip_hash; sticky route $arg_r; server 10.0.0.1:1 route=a; server 10.0.0.2:1 route=b drain; }
  upstream byLearn { least_conn; sticky learn create=$upstream_cookie_s lookup=$cookie_s zone=z:64k timeout=TIME header;
    server 10.0.0.1:1; server 10.0.0.2:1; }
  server { listen 1; location / { proxy_pass http://plain; } }
}`

// TestBuildSticky: what sticky says arrives in the groups and their recipes, and what it has
// learned and counted is there for the next configuration.
func TestBuildSticky(t *testing.T) {
	shared := NewShared()
	build := func(timeout string) *Built {
		built, problems := Build(load(t, strings.Replace(stickyText, "TIME", timeout, 1)), route.Process{}, shared)
		if built == nil || len(problems) != 0 {
			t.Fatal(problems)
		}
		return built
	}
	sn := build("5m").Snapshot
	if sn.Balancing[0].Sticky != nil {
		t.Error("an upstream without sticky has one")
	}
	bySID := sn.Groups[1]
	peers := bySID.AppendPeers(nil)
	if got := bySID.SID(peers[0]) + " " + bySID.SID(peers[1]); got != "2ad845c735c028cd4dec71f4012687fa two" {
		t.Errorf("servers are called %s", got)
	}
	e := &route.Env{}
	e.Reset()
	e.Args = []byte("r=b")
	if got := string(sn.Balancing[2].Sticky.Recipe.AppendBound(nil, e)); got != "b" {
		t.Errorf("the route is %q", got)
	}
	var c upstream.Choice
	sn.Groups[2].Bind(&c, []byte("b"), 1)
	if p := sn.Groups[2].Pick(&c, 1); p.Name != "10.0.0.2:1" {
		t.Errorf("route b is %s", p.Name)
	}
	learn := sn.Balancing[3].Sticky
	if learn.TimeoutMs != 300_000 || !learn.Header || learn.Sessions == nil || sn.Balancing[1].Sticky.Sessions != nil {
		t.Errorf("learn: %+v", learn)
	}
	key := upstream.NewSessionKey([]byte("one"))
	learn.Sessions.Learn(key, "x", true, 1000, 1)
	learn.Stats.Hits.Add(3)

	again := build("1h").Snapshot
	next := again.Balancing[3].Sticky
	if got := string(next.Sessions.AppendSID(nil, key, next.TimeoutMs, 2)); got != "x" || next.TimeoutMs != 3_600_000 {
		t.Errorf("the session is %q under the next configuration, with a timeout of %d ms", got, next.TimeoutMs)
	}
	want := []admin.StickyInfo{{Upstream: "byCookie"}, {Upstream: "byRoute"}, {Upstream: "byLearn", Zone: "z", Sessions: 1, Hits: 3}}
	infos := stickyInfos(again)
	if len(infos) != len(want) {
		t.Fatalf("infos %+v", infos)
	}
	for i := range want {
		if infos[i] != want[i] {
			t.Errorf("info %+v, want %+v", infos[i], want[i])
		}
	}
}

func TestBuildStickyErrors(t *testing.T) {
	for _, sticky := range []string{
		"sticky cookie a domain=$hots;", "sticky route $hots;", "sticky learn create=$hots lookup=$arg_a zone=z:1m;",
	} {
		_, problems := Build(load(t, "http { upstream u {\n"+sticky+" server 10.0.0.1:1; }\n"+
			"server { listen 1; location / { proxy_pass http://u; } } }"), route.Process{}, NewShared())
		found := false
		for _, p := range problems {
			found = found || p.Line == 2 && p.Text == `unknown variable "$hots"`
		}
		if !found {
			t.Errorf("%s: problems %v", sticky, problems)
		}
	}
}
