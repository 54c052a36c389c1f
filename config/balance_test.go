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

// balanceVerdicts are blocks of upstreams that nginx and holdfast must agree about.
var balanceVerdicts = struct{ good, bad []string }{
	good: []string{
		`upstream u { least_conn; server 127.0.0.1:1; server 127.0.0.1:2 backup; }`,
		`upstream u { ip_hash; server 127.0.0.1:1 weight=3; server 127.0.0.1:2 max_conns=7; }`,
		`upstream u { hash $request_uri; server 127.0.0.1:1; server 127.0.0.1:2 down; }`,
		`upstream u { hash "$host$arg_a" consistent; server 127.0.0.1:1; server unix:/x; }`,
		`upstream u { hash ""; server 127.0.0.1:1; }`,
		`upstream u { random; server 127.0.0.1:1; }`,
		`upstream u { random two; server 127.0.0.1:1; }`,
		`upstream u { random two least_conn; server 127.0.0.1:1; }`,
		`upstream u { least_conn; ip_hash; server 127.0.0.1:1; }`,
		`upstream u { least_conn; least_conn; server 127.0.0.1:1; }`,
		`upstream u { server 127.0.0.1:1; keepalive 4; random; }`,
		`upstream u { server 127.0.0.1:1 backup; server 127.0.0.1:2; ip_hash; }`,
		`upstream u { server 127.0.0.1:1 max_conns=0; zone z 32k; zone y 1m; }`,
	},
	bad: []string{
		`upstream u { least_conn x; server 127.0.0.1:1; }`,
		`upstream u { ip_hash x; server 127.0.0.1:1; }`,
		`upstream u { ip_hash; server 127.0.0.1:1 backup; server 127.0.0.1:2; }`,
		`upstream u { hash $uri; server 127.0.0.1:1 backup; server 127.0.0.1:2; }`,
		`upstream u { random two; server 127.0.0.1:1 backup; server 127.0.0.1:2; }`,
		`upstream u { hash; server 127.0.0.1:1; }`,
		`upstream u { hash $uri Consistent; server 127.0.0.1:1; }`,
		`upstream u { hash $uri consistent x; server 127.0.0.1:1; }`,
		`upstream u { random 2; server 127.0.0.1:1; }`,
		`upstream u { random two most; server 127.0.0.1:1; }`,
		`upstream u { server 127.0.0.1:1 max_conns=; }`,
		`upstream u { server 127.0.0.1:1 max_conns=-1; }`,
		`upstream u { server 127.0.0.1:1 down=1; }`,
		`upstream u { server 127.0.0.1:1 weight; }`,
		`upstream u { server 127.0.0.1:1; zone z 1k; }`,
		`upstream u { server 127.0.0.1:1; zone z 64x; }`,
		`upstream u { server 127.0.0.1:1; zone ""; }`,
		`upstream u { server 127.0.0.1:1; keepalive 0x1; }`,
		`server { listen 127.0.0.1:PORT; least_conn; return 204; }`,
	},
}

func TestBalanceVerdictsOfNginx(t *testing.T) {
	nginx, err := exec.LookPath("nginx")
	if err != nil {
		if os.Getenv("HOLDFAST_REQUIRE_PEERS") == "1" {
			t.Fatal("nginx is not on PATH, and HOLDFAST_REQUIRE_PEERS=1")
		}
		t.Skip("nginx is not on PATH")
	}
	free := strconv.Itoa(port.Take(t))
	const server = " server { listen 127.0.0.1:PORT; return 204; }"
	for i, list := range [][]string{balanceVerdicts.good, balanceVerdicts.bad} {
		for _, body := range list {
			checkVerdict(t, nginx, strings.ReplaceAll(body+server, "PORT", free), i == 0)
		}
	}
}

// TestBalanceProblems pins what is said about wrong upstreams.
func TestBalanceProblems(t *testing.T) {
	for _, tc := range []struct{ name, inside, want string }{
		{"two methods", "least_conn;\nhash $uri;\nserver 127.0.0.1;", `
nginx.conf:3: warning: load balancing method redefined; remove one; the one before is at /etc/h/nginx.conf:2`},
		{"below keepalive", "server 127.0.0.1;\nkeepalive 4;\nleast_conn;", `
nginx.conf:4: warning: load balancing method below "keepalive"; ` +
			`nginx would not keep connections: write it above the keepalive at /etc/h/nginx.conf:3`},
		{"arguments of hash", "hash;\nserver 127.0.0.1;", `
nginx.conf:2: error: invalid number of arguments in "hash" directive; write: hash key [consistent];`},
		{"consistent", "hash $uri ketama;\nserver 127.0.0.1;", `
nginx.conf:2: error: invalid parameter "ketama" in "hash" directive; write consistent, or nothing`},
		{"random", "random three;\nserver 127.0.0.1;", `
nginx.conf:2: error: invalid parameter "three" in "random" directive; write two, or nothing`},
		{"random two", "random two best;\nrandom two least_time=connect;\nserver 127.0.0.1;", `
nginx.conf:2: error: invalid parameter "best" in "random" directive; ` +
			`write least_conn or least_time=header or least_time=last_byte
nginx.conf:3: error: invalid parameter "least_time=connect" in "random" directive; ` +
			`write least_conn or least_time=header or least_time=last_byte`},
		{"least_time", "least_time first_byte;\nleast_time header flying;\nserver 127.0.0.1;", `
nginx.conf:2: error: invalid parameter "first_byte" in "least_time" directive; write header or last_byte
nginx.conf:3: error: invalid parameter "flying" in "least_time" directive; write inflight, or nothing`},
		{"backup", "ip_hash;\nserver 127.0.0.1:1;\nserver 127.0.0.1:2 backup;", `
nginx.conf:4: error: balancing method does not support parameter "backup"; remove it, or the method at /etc/h/nginx.conf:2`},
		{"slow_start", "server 127.0.0.1:1 slow_start=5s;\nrandom two;", `
nginx.conf:2: error: balancing method does not support parameter "slow_start"; ` +
			`remove it, or the method at /etc/h/nginx.conf:3`},
		{"weight", "server 127.0.0.1:1 weight=1048576;\nserver 127.0.0.1:1 weight=1048577;\nserver 127.0.0.1:1 weight=;", `
nginx.conf:3: error: invalid parameter "weight=1048577"; write a number from 1 to 1048576
nginx.conf:4: error: invalid parameter "weight="; write a number from 1 to 1048576`},
		{"parameters", "server 127.0.0.1:1 max_conns=many;\nserver 127.0.0.1:2 slow_start=10ms;\nserver 127.0.0.1:3 route=;\n" +
			"server 127.0.0.1:4 id=7;\nserver 127.0.0.1:5 quick;\nserver 127.0.0.1:6 drain=1;", `
nginx.conf:2: error: invalid parameter "max_conns=many"; write a number; 0 means no limit
nginx.conf:3: error: invalid parameter "slow_start=10ms"; write a time in seconds such as 30s
nginx.conf:4: error: invalid parameter "route="; write what cookies and URLs call the server: up to 32 letters and digits
nginx.conf:5: error: "id" of "server" is not supported; it is not in this version; remove it
nginx.conf:6: error: invalid parameter "quick"; write weight=, max_conns=, max_fails=, fail_timeout=, slow_start=, ` +
			`backup, down, drain, resolve, route=, service=
nginx.conf:7: error: invalid parameter "drain=1"; did you mean drain?`},
		{"service", "server a.test service=http;\nserver a.test:80 service=http resolve;\nserver a.test service= resolve;", `
nginx.conf:2: error: service upstream "a.test" requires "resolve" parameter; write resolve behind it
nginx.conf:3: error: a service has no port of its own: in upstream "a.test:80"; write an address such as ` +
			`127.0.0.1:8080, host:8080 or unix:/path
nginx.conf:4: error: invalid parameter "service="; write the name of a service, such as http`},
		{"zone", "server 127.0.0.1;\nzone z 1k;\nzone z big;\nzone \"\";", `
nginx.conf:3: error: zone "z" is too small; write at least 32k
nginx.conf:4: error: invalid zone size "big"; write a size such as 512, 8k or 1m
nginx.conf:5: error: invalid zone name ""; write the name of the zone`},
		{"refused", "queue 5;\nntlm;\nserver 127.0.0.1;", `
nginx.conf:2: error: "queue" is not supported; requests do not wait for a server; ` +
			`remove it, and write a larger max_conns
nginx.conf:3: error: "ntlm" is not supported; connections to an upstream are not bound to clients; remove it`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, problems := config.LoadText("/etc/h/nginx.conf", inHTTP("upstream u { "+tc.inside+"\n} server { listen 80; return 204; }"),
				hermetic(nil))
			if diff := cmp.Diff(strings.TrimSpace(tc.want), strings.TrimSpace(lines(problems))); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

// TestBalanceOfStream: the words of stream's upstreams, and what only http has.
func TestBalanceOfStream(t *testing.T) {
	const server = " server { listen 127.0.0.1:1; proxy_pass u; }"
	for _, body := range []string{
		`upstream u { least_conn; server 127.0.0.1:1; server 127.0.0.1:2 backup; }`,
		`upstream u { hash $remote_addr consistent; server 127.0.0.1:1 max_conns=5; }`,
		`upstream u { random two least_time=connect; server 127.0.0.1:1; }`,
		`upstream u { least_time connect inflight; server 127.0.0.1:1 slow_start=1m; }`,
		`upstream u { zone z 64k; server 127.0.0.1:1; }`,
	} {
		if cfg, problems := config.LoadText("x", inStream(body+server), hermetic(nil)); cfg == nil {
			t.Errorf("%s\n%s", body, lines(problems))
		}
	}
	for body, want := range map[string]string{
		`upstream u { ip_hash; server 127.0.0.1:1; }`:                 `"ip_hash" directive is not allowed here; its place is: upstream`,
		`upstream u { least_time header; server 127.0.0.1:1; }`:       `write connect (what comes later on a stream is not timed)`,
		`upstream u { server 127.0.0.1:1 route=a; }`:                  `invalid parameter "route=a"; it is for http only`,
		`upstream u { server 127.0.0.1:1 drain; }`:                    `invalid parameter "drain"; it is for http only`,
		`upstream u { hash $request_uri; server 127.0.0.1:1; }`:       "",
		`upstream u { random; server 127.0.0.1:1 backup; server a; }`: `balancing method does not support parameter "backup"`,
	} {
		cfg, problems := config.LoadText("x", inStream(body+server), hermetic(nil))
		if text := lines(problems); want != "" && (cfg != nil || !strings.Contains(text, want)) {
			t.Errorf("%s\n%s\nwant %s", body, text, want)
		}
	}
}

func TestBalanceIsRead(t *testing.T) {
	type got struct {
		method   config.Method
		key      string
		by       config.BalanceBy
		inflight bool
	}
	for method, want := range map[string]got{
		"":                                 {},
		"least_conn;":                      {method: config.LeastConn},
		"ip_hash;":                         {method: config.IPHash},
		"hash $uri$args;":                  {method: config.Hash, key: "$uri$args"},
		"hash a consistent;":               {method: config.ConsistentHash, key: "a"},
		"random;":                          {method: config.Random},
		"random two;":                      {method: config.RandomTwo},
		"random two least_conn;":           {method: config.RandomTwo},
		"random two least_time=last_byte;": {method: config.RandomTwo, by: config.ByLastByte},
		"least_time header;":               {method: config.LeastTime, by: config.ByHeader},
		"least_time last_byte inflight;":   {method: config.LeastTime, by: config.ByLastByte, inflight: true},
	} {
		cfg := mustLoad(t, inHTTP("upstream u { server 127.0.0.1:1; "+method+" } server { listen 80; return 204; }"))
		b := cfg.HTTP.Upstreams[0].Balance
		if (got{b.Method, b.Key, b.By, b.Inflight}) != want {
			t.Errorf("%q is %+v, want %+v", method, b, want)
		}
	}
	cfg := mustLoad(t, inHTTP(`upstream u { server 127.0.0.1:1 max_conns=9 slow_start=2m drain route=a; } server { listen 80; return 204; }`))
	if s := cfg.HTTP.Upstreams[0].Servers[0]; s.MaxConns != 9 || s.SlowStart.Minutes() != 2 || !s.Drain || s.Route != "a" {
		t.Errorf("server %+v", s)
	}
	cfg = mustLoad(t, inHTTP(`resolver 127.0.0.1; upstream u { server a.test:81 resolve; server b.test service=_h._tcp resolve;
		server 127.0.0.1:5 resolve; } server { listen 80; return 204; }`))
	servers := cfg.HTTP.Upstreams[0].Servers
	if s := servers[0]; !s.Resolve || s.Host != "a.test" || s.Port != 81 || s.Addrs != nil {
		t.Errorf("server %+v", s)
	}
	if s := servers[1]; !s.Resolve || s.Host != "b.test" || s.Service != "_h._tcp" || s.Addrs != nil {
		t.Errorf("server %+v", s)
	}
	if s := servers[2]; s.Resolve || len(s.Addrs) != 1 {
		t.Errorf("server %+v", s)
	}
}
