package config_test

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/config"
	"holdfast/test/port"
)

// limitVerdicts are bodies of the http context on which nginx and holdfast must agree.
var limitVerdicts = struct{ good, bad []string }{
	good: []string{
		`limit_req_zone $binary_remote_addr zone=a:10m rate=5r/s; limit_req zone=a;`,
		`limit_req_zone $uri$args zone=a:32k rate=30r/m; limit_req_zone $host rate=7 zone=b:100m;
			limit_req zone=a burst=5 nodelay; limit_req burst=10 delay=5 zone=b; limit_req_status 429;
			limit_req_log_level warn; limit_req_dry_run on;
			server { location / { limit_req zone=b; limit_req_status 444; limit_req_dry_run off; } }`,
		`server { limit_req zone=late delay=3; } limit_req_zone $uri zone=late:1m rate=1r/s;`,
		`limit_rate 10k; limit_rate_after 1m; proxy_limit_rate 5000;
			server { limit_rate $arg_rate; limit_rate_after $arg_after; location / { limit_rate 0; proxy_limit_rate 0; } }`,
		`server { location / { if ($arg_a) { limit_rate 5; limit_rate_after 6; } } }`,
		`limit_conn_zone $uri zone=a:1m; limit_conn a 65535; limit_conn_status 599; limit_conn_log_level info; limit_conn_dry_run on;`,
	},
	bad: []string{
		`limit_req_zone $uri zone=a:10m;`,
		`limit_req_zone $uri zone=a:10m rate=0r/s;`,
		`limit_req_zone $uri zone=a:10m rate=5r/h;`,
		`limit_req_zone $uri zone=a:10m rate=-5r/s;`,
		`limit_req_zone $uri zone=a:10m rate=1.5r/s;`,
		`limit_req_zone $uri zone=a:10k rate=5r/s;`,
		`limit_req_zone $uri zone=a rate=5r/s;`,
		`limit_req_zone $uri zone=:1m rate=5r/s;`,
		`limit_req_zone $uri zone=a:xx rate=5r/s;`,
		`limit_req_zone $uri rate=1r/s rate=2r/s;`,
		`limit_req_zone $uri zone=a:1m foo;`,
		`limit_req_zone $uri zone=a:1m rate=5r/s; limit_req_zone $uri zone=a:1m rate=5r/s;`,
		`limit_req_zone $uri zone=a:1m rate=5r/s; limit_conn_zone $uri zone=a:1m;`,
		`limit_req_zone $uri zone=a:1m rate=5r/s; limit_conn a 5;`,
		`limit_conn_zone $uri zone=a:1m; limit_req zone=a;`,
		`server { limit_req zone=b; }`,
		`limit_req_zone $uri zone=a:1m rate=5r/s; limit_req zone=a burst=0;`,
		`limit_req_zone $uri zone=a:1m rate=5r/s; limit_req zone=a burst=x;`,
		`limit_req_zone $uri zone=a:1m rate=5r/s; limit_req zone=a delay=0;`,
		`limit_req_zone $uri zone=a:1m rate=5r/s; limit_req zone=a foo;`,
		`limit_req_zone $uri zone=a:1m rate=5r/s; limit_req burst=4;`,
		`limit_req_zone $uri zone=a:1m rate=5r/s; limit_req zone=a burst=5 delay=9 nodelay;`,
		`limit_req_zone $uri zone=a:1m rate=5r/s; limit_req zone=a; limit_req zone=a burst=5;`,
		`server { limit_req_zone $uri zone=a:1m rate=5r/s; }`,
		`limit_req_status 200;`, `limit_req_status 600;`, `limit_req_status x;`,
		`limit_req_log_level crit;`, `limit_req_dry_run maybe;`,
		`limit_rate 5x;`, `limit_rate 10r/s;`, `limit_rate -1;`, `limit_rate_after x;`, `proxy_limit_rate 5x;`,
		`limit_conn_zone $uri zone=:1m;`, `limit_conn_zone $uri zone=a:1m; limit_conn a 65536;`,
	},
}

func TestLimitVerdictsOfNginx(t *testing.T) {
	nginx, err := exec.LookPath("nginx")
	if err != nil && os.Getenv("HOLDFAST_REQUIRE_PEERS") == "1" {
		t.Fatal("nginx is not on PATH, and HOLDFAST_REQUIRE_PEERS=1")
	}
	listen := strings.NewReplacer("server {", "server { listen 127.0.0.1:"+strconv.Itoa(port.Take(t))+";")
	for i, list := range [][]string{limitVerdicts.good, limitVerdicts.bad} {
		for _, body := range list {
			if err == nil {
				checkVerdict(t, nginx, listen.Replace(body), i == 0)
			} else if cfg, _ := config.LoadText("x", "http {\n"+body+"\n}", hermetic(nil)); (cfg != nil) != (i == 0) {
				t.Errorf("holdfast disagrees with the table about\n%s", body)
			}
		}
	}
}

func TestLimitProblems(t *testing.T) {
	for conf, want := range map[string]string{
		"limit_req_zone $uri zone=a:10k rate=1r/s;": `zone "zone=a:10k" is too small; write at least 32k`,
		"limit_req_zone $uri zone=a rate=1r/s;": `invalid zone "zone=a"; ` +
			`write: limit_req_zone $binary_remote_addr zone=NAME:10m rate=10r/s;`,
		"limit_req_zone $uri zone=a:1x rate=1r/s;": `invalid zone size "zone=a:1x"; write a size such as 512, 8k or 1m`,
		"limit_req_zone $uri zone=a:1m rate=1r/h;": `invalid rate "rate=1r/h"; write a rate such as 10r/s or 30r/m, above 0`,
		"limit_req_zone $uri zone=a:1m to=5;": `invalid parameter "to=5"; ` +
			`write: limit_req_zone $binary_remote_addr zone=NAME:10m rate=10r/s;`,
		"limit_req zone=a;": `unknown "limit_req" zone "a"; ` +
			`define it in http: limit_req_zone $binary_remote_addr zone=a:10m rate=10r/s;`,
		"limit_req zone=a burst=0;": `invalid burst value "burst=0"; write a number above 0`,
		"limit_req zone=a delay=x;": `invalid delay value "delay=x"; write a number above 0`,
		"limit_req zone=a x;": `invalid parameter "x"; ` +
			`write: limit_req zone=NAME [burst=NUMBER] [nodelay | delay=NUMBER];`,
		"limit_req burst=5;": `"limit_req" must have "zone" parameter; ` +
			`write: limit_req zone=NAME [burst=NUMBER] [nodelay | delay=NUMBER];`,
		"limit_req_status 20;":   `invalid value "20" in "limit_req_status" directive; write a status from 400 to 599`,
		"limit_req_log_level x;": `invalid value "x" in "limit_req_log_level" directive; write info, notice, warn or error`,
		"limit_rate fast;":       `invalid value "fast" in "limit_rate" directive; write a size such as 512, 8k or 1m`,
	} {
		_, problems := config.LoadText("/etc/h/nginx.conf", "http {\n"+conf+"\n}", hermetic(nil))
		if diff := cmp.Diff("nginx.conf:2: error: "+want+"\n", lines(problems)); diff != "" {
			t.Errorf("%s: problems (-want +got):\n%s", conf, diff)
		}
	}
}

func TestLimitSettings(t *testing.T) {
	cfg, problems := config.LoadText("/etc/h/nginx.conf", `http {
		limit_req_zone $uri zone=a:1m rate=90r/m sync; limit_req_zone $host zone=b:2m rate=3r/s;
		limit_req zone=a burst=4 delay=2; limit_req zone=b nodelay; limit_rate 5k;
		server { listen 80; location /a { limit_req zone=b; limit_req_status 429; limit_rate $arg_r; proxy_pass http://127.0.0.1:1; }
			location /b { limit_req_log_level info; limit_req_dry_run on; limit_rate_after 1m; proxy_limit_rate 7; proxy_pass http://127.0.0.1:1; } } }`,
		hermetic(nil))
	if cfg == nil {
		t.Fatal(lines(problems))
	}
	if z := cfg.LimitReqZones; len(z) != 2 || z[0].Rate != 1500 || z[1].Rate != 3000 || z[0].Key != "$uri" || z[1].Size != 2<<20 {
		t.Errorf("zones %+v", z)
	}
	a, b := cfg.HTTP.Servers[0].Locations[0].Settings.Limits, cfg.HTTP.Servers[0].Locations[1].Settings.Limits
	if strings.HasSuffix(cfg.HTTP.Servers[0].Locations[0].Pattern, "b") {
		a, b = b, a
	}
	if len(a.Reqs) != 1 || a.Reqs[0].Zone != "b" || a.ReqStatus != 429 || a.Rate.Text != "$arg_r" || a.Reqs[0].DelayThousandths() != 0 {
		t.Errorf("limits of /a: %+v", a)
	}
	if len(b.Reqs) != 2 || b.Reqs[0].BurstThousandths() != 4000 || b.Reqs[0].DelayThousandths() != 2000 ||
		b.Reqs[1].DelayThousandths() < 1<<60 || b.ReqStatus != 503 || b.ReqLogLevel != config.LevelInfo || !b.ReqDryRun ||
		b.Rate.Text != "5k" || b.RateAfter.Text != "1m" || b.ProxyRate.Text != "7" {
		t.Errorf("limits of /b: %+v", b)
	}
}
