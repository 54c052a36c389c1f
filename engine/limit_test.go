package engine

import (
	"strings"
	"testing"

	"holdfast/config"
	"holdfast/route"
)

const rateLimited = `
events { }
http {
    limit_req_zone $uri zone=a:1m rate=30r/m;
    limit_req_zone $host zone=b:32k rate=5r/s;
    limit_conn_zone $host zone=c:1m;
    server {
        listen 127.0.0.1:8081;
        limit_req zone=b burst=4 delay=2; limit_req zone=a nodelay; limit_req_status 429; limit_req_log_level info;
        limit_req_dry_run on; limit_conn c 7;
        location / { limit_rate 5k; limit_rate_after $arg_after; proxy_limit_rate 6k; proxy_pass http://127.0.0.1:1; }
        location /off { limit_rate 0; proxy_pass http://127.0.0.1:1; }
    }
}`

func TestLimitsAreTranslated(t *testing.T) {
	shared := NewShared()
	built, problems := Build(load(t, rateLimited), route.Process{}, shared)
	if built == nil {
		t.Fatal(problems)
	}
	sn := built.Snapshot
	if z := sn.RateZones; len(z) != 2 || z[0].Zone.Name() != "a" || z[0].Rate != 500 || z[1].Zone.Key() != "$host" || z[1].Rate != 5000 {
		t.Fatalf("zones %+v", z)
	}
	server := sn.Table.Default(0)
	e := route.Env{Server: server, URI: []byte("/x"), Args: []byte("after=9")}
	l, _ := server.Locate(&e)
	limits := &l.Settings.Limits
	if r := limits.Reqs; len(r) != 2 || r[0].Zone != 1 || r[0].Burst != 4000 || r[0].Delay != 2000 || r[1].Zone != 0 || r[1].Burst != 0 || r[1].Delay < 1<<60 {
		t.Errorf("limits %+v", r)
	}
	if limits.ReqStatus != 429 || limits.ReqLogLevel != uint8(config.LevelInfo) || !limits.ReqDryRun || len(limits.Conns) != 1 {
		t.Errorf("limits %+v", limits)
	}
	if key := limits.Reqs[1].AppendKey(nil, &e); string(key) != "/x" {
		t.Errorf("key %q", key)
	}
	if rate, after := limits.Rate(&e); rate != 5<<10 || after != 9 || limits.UpstreamRate(&e) != 6<<10 {
		t.Errorf("rate %d after %d, from the upstream %d", rate, after, limits.UpstreamRate(&e))
	}
	e.URI = []byte("/off")
	l, _ = server.Locate(&e)
	if other := (route.Env{}); l.Settings.Limits.Paces(&other) || len(l.Settings.Limits.Reqs) != 2 {
		t.Errorf("limits %+v", l.Settings.Limits)
	}

	again, _ := Build(load(t, strings.Replace(rateLimited, "5r/s", "6r/s", 1)), route.Process{}, shared)
	other, _ := Build(load(t, strings.Replace(rateLimited, "$uri", "$args", 1)), route.Process{}, shared)
	if z := again.Snapshot.RateZones[1]; z.Zone != sn.RateZones[1].Zone || z.Rate != 6000 {
		t.Error("another rate makes another table")
	}
	if other.Snapshot.RateZones[0].Zone == sn.RateZones[0].Zone || other.Snapshot.Zones[0] != sn.Zones[0] {
		t.Error("tables are not those of their key")
	}
}
