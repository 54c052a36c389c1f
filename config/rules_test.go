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

// ruleVerdicts are bodies of the http context with directives about which requests are let in.
// nginx and holdfast must agree on each.
var ruleVerdicts = struct{ good, bad []string }{
	good: []string{
		`allow 10.0.0.0/8; deny 2001:db8::/32; allow unix:; deny all; satisfy any;`,
		`server { allow 10.0.0.1; location / { deny all; satisfy ALL; location /a { allow all; } } }`,
		`server { location / { limit_except GET post { allow 10.0.0.0/8; deny all; } } }`,
		`server { location / { limit_except PROPPATCH { auth_basic x; auth_basic_user_file /x; access_log off; } } }`,
		`server { location / { limit_except HEAD { proxy_pass http://127.0.0.1:1; } return 204; } }`,
		`server { location ~ x { proxy_pass http://127.0.0.1:1; limit_except OPTIONS { } } }`,
		`geo $x { }`,
		`geo $remote_addr $x { default a; 10.0.0.0/8 b; 10.0.0.1 c; ::1 d; 2001:db8::/32 "e f"; }`,
		`geo $x { proxy 10.0.0.0/8; proxy 2001:db8::/32; proxy_recursive; 10.1.2.3/8 low; }`,
		`geo $x { 10.0.0.0/8 a; 10.0.0.0/8 b; default a; default b; delete 10.0.0.0/8; delete 11.0.0.0/8; 0.0.0.0/0 c; }`,
		`geo $x { ranges; default a; 10.0.0.0-10.0.0.255 b; 10.0.0.1-10.0.0.2 c; delete 10.0.0.1-10.0.0.2; }`,
		`geo $x { proxy 10.0.0.1; ranges; 0.0.0.0-255.255.255.254 a; 1.2.3.4-1.2.3.4 b; default c; default d; }`,
		`geo $x { ranges; 10.0.0.0-10.0.255.255 a; 10.0.0.0-10.1.255.255 b; delete 9.9.9.9-9.9.9.9; }`,
		`geo $x { default $uri; 255.255.255.255 unix; }`,
		`geo $x { 10.0.0.0/8 a; } map $uri $x { x y; } split_clients $uri $x { * z; }`,
		`geo $y $x { 10.0.0.0/8 a; } map $uri $y { x y; }`,
		`split_clients $uri$args $x { 50% a; .5% b; 1.25% "c d"; 5.% e; * f; }`,
		`split_clients "" $x { } split_clients $uri $y { 100% a; * b; }`,
		`server { valid_referers none blocked server_names *.x.test y.test/a z.* ~^w\.; }`,
		`server { server_name a b ~c; valid_referers a.test server_names; valid_referers b.test; location / { valid_referers c.test; } }`,
		`secure_link $arg_a; secure_link_md5 $uri; server { secure_link_secret y; location / { secure_link_secret x; } }`,
		`server { secure_link_md5 a; location / { secure_link $arg_a,$arg_b; set $x $secure_link$secure_link_expires; } }`,
		`auth_request /x; auth_request_set $a $uri; server { location / { auth_request off; auth_request_set $a b$a; } }`,
		`mirror /a; mirror /b?c; mirror_request_body off; server { mirror off; location / { mirror /$x; mirror_request_body on; } }`,
		`map $uri $x { volatile; hostnames; default a; "" b; } map $x $y { ~*^(?<n>a)(b) $n$2; }`,
		`map $uri $x { "~^/a b" c; ~ d; \hostnames e; \volatile f; \include g; *.x h; }`,
	},
	bad: []string{
		`allow 10.0.0.0/33;`, `deny example.test;`, `allow;`, `deny 10.0.0.1 10.0.0.2;`, `satisfy some;`, `satisfy all; satisfy any;`,
		`limit_except GET { }`, `server { limit_except GET { } }`,
		`server { location / { limit_except BREW { } } }`,
		`server { location / { limit_except { } } }`,
		`server { location / { limit_except GET; } }`,
		`server { location / { limit_except GET { } limit_except POST { } } }`,
		`server { location / { limit_except GET { return 200; } } }`,
		`server { location / { limit_except GET { satisfy any; } } }`,
		`server { location / { limit_except GET { proxy_pass http://127.0.0.1:1/x; } } }`,
		`geo x { }`, `geo $x;`, `geo a $x { }`, `geo $a $b $c { }`, `server { geo $x { } }`,
		`geo $x { 10.0.0.0/33 a; }`, `geo $x { example.test a; }`, `geo $x { 10.0.0.0/8; }`, `geo $x { 10.0.0.0/8 a b; }`,
		`geo $x { 10.0.0.0/8 a; ranges; }`, `geo $x { ranges; 10.0.0.0/8 a; }`, `geo $x { ranges; 10.0.0.9-10.0.0.1 a; }`,
		`geo $x { 10.0.0.1-10.0.0.2 a; }`, `geo $x { ranges; 10.0.0.0-10.0.0.9 a; 10.0.0.5-10.0.0.15 b; }`,
		`geo $x { ranges; 10.0.0.5-10.0.0.6 a; 10.0.0.0-10.0.0.15 b; }`, `geo $x { ranges; ::1-::2 a; }`,
		`geo $x { proxy x; }`, `geo $x { frob; }`, `geo $x { delete x; }`, `geo $nosuch $x { }`,
		`split_clients $uri x { * a; }`, `split_clients $uri $x { 60% a; 50% b; }`, `split_clients $uri $x { * a; 1% b; }`,
		`split_clients $uri $x { 0% a; }`, `split_clients $uri $x { 5 a; }`, `split_clients $uri $x { x% a; }`,
		`split_clients $uri $x { 0.001% a; }`, `split_clients $uri { }`, `split_clients $uri $x { % a; }`,
		`split_clients $nosuch $x { }`,
		`valid_referers a;`, `server { valid_referers; }`, `server { valid_referers a*b; }`, `server { valid_referers ~; }`,
		`server { valid_referers a.test a.test; }`, `server { valid_referers ~(; }`, `server { valid_referers none; }`,
		`server { valid_referers none blocked; }`,
		`server { location / { secure_link a; secure_link_secret x; } }`,
		`server { location / { secure_link_secret x; secure_link_md5 a; } }`, `secure_link a; secure_link b;`,
		`secure_link;`, `secure_link_md5 a b;`, `secure_link $nosuch;`,
		`auth_request;`, `auth_request_set $a;`, `auth_request_set a b;`, `auth_request /a; auth_request /b;`,
		`mirror;`, `mirror /a /b;`, `mirror off; mirror /a;`, `mirror /a; mirror off;`, `mirror off; mirror off;`,
		`mirror_request_body yes;`, `mirror_request_body on; mirror_request_body on;`, `mirror_request_body;`,
		`map $uri $x { a; }`, `map $uri $x { default a; default b; }`, `map $uri $x { a b c; }`, `map $uri $x { hostnames; a*b c; }`,
		`map $uri $x { frob; }`, `map $uri $x { ~( a; }`, `map $uri x { }`, `map $uri $x { a b; A c; }`, `map $nosuch $x { }`,
	},
}

func TestRuleVerdictsOfNginx(t *testing.T) {
	nginx, err := exec.LookPath("nginx")
	if err != nil && os.Getenv("HOLDFAST_REQUIRE_PEERS") == "1" {
		t.Fatal("nginx is not on PATH, and HOLDFAST_REQUIRE_PEERS=1")
	}
	listen := strings.NewReplacer("server {", "server { listen 127.0.0.1:"+strconv.Itoa(port.Take(t))+";")
	for i, list := range [][]string{ruleVerdicts.good, ruleVerdicts.bad} {
		for _, body := range list {
			switch unknown := strings.Contains(body, "$nosuch"); { // is known to whoever compiles texts
			case err == nil && !unknown:
				checkVerdict(t, nginx, listen.Replace(body), i == 0)
			case !unknown:
				if cfg, _ := load("http {\n" + body + "\n}"); (cfg != nil) != (i == 0) {
					t.Errorf("holdfast disagrees with the table about\n%s", body)
				}
			}
		}
	}
}

// Of stream the same holds, without what only requests have.
func TestRulesInStream(t *testing.T) {
	for text, good := range map[string]bool{
		`geo $x { default a; 10.0.0.0/8 b; ::1 c; }`:          true,
		`geo $remote_addr $x { ranges; 1.2.3.4-1.2.3.5 a; }`:  true,
		`split_clients $remote_addr $x { 50% a; * b; }`:       true,
		`map $remote_addr $x { volatile; hostnames; ~^1 b; }`: true,
		`geo $x { proxy 10.0.0.0/8; }`:                        false,
		`geo $x { proxy_recursive; }`:                         false,
		`valid_referers a;`:                                   false,
		`satisfy any;`:                                        false,
	} {
		if cfg, problems := load(inStream(text)); (cfg != nil) != good {
			t.Errorf("%s\n%s", text, lines(problems))
		}
	}
}

func TestRuleProblems(t *testing.T) {
	for conf, want := range map[string]string{
		inHTTP("satisfy some;\nallow 10.0.0.0/40;\ndeny 10.1.1.1/8;"): `
nginx.conf:2: error: invalid value "some" in "satisfy" directive; write all or any
nginx.conf:3: error: invalid value "10.0.0.0/40" in "allow" directive; write an address, a network such as 10.0.0.0/8, unix: or all
nginx.conf:4: warning: low address bits of 10.1.1.1/8 are meaningless`,
		inServer("location / {\nlimit_except BREW { }\n}\nlocation /a {\nlimit_except GET {\nproxy_pass http://127.0.0.1:1/x;\nsatisfy any;\n}\n}"): `
nginx.conf:4: error: invalid value "BREW" in "limit_except" directive; write methods such as GET and POST
nginx.conf:8: error: "proxy_pass" cannot have URI part inside "limit_except" block; write it without /x
nginx.conf:9: error: "satisfy" directive is not allowed here; its place is: http, server, location`,
		inHTTP("geo x {\n}\ngeo a $b {\n}\ngeo $c {\n10.0.0.0/8;\nnet a;\n10.0.0.0/8 a;\nranges;\n10.0.0.0/8 b;\ndelete 11.0.0.0/8;\n1.1.1.1 { }\n}"): `
nginx.conf:2: error: invalid variable name "x"; write: geo SOURCE $NAME { ... }
nginx.conf:4: error: invalid variable name "a"; write: geo [$ADDRESS] $NAME { ... }
nginx.conf:7: error: invalid number of the geo parameters; write: NETWORK VALUE;
nginx.conf:8: error: invalid network "net"; write an address or a network such as 10.0.0.0/8
nginx.conf:10: error: the "ranges" directive must be the first directive inside "geo" block; write it first
nginx.conf:11: error: invalid range "10.0.0.0/8"; write: FIRST-LAST VALUE;, with two IPv4 addresses
nginx.conf:12: error: invalid range "11.0.0.0/8"; write: FIRST-LAST VALUE;, with two IPv4 addresses
nginx.conf:13: error: unexpected "{"; write: NETWORK VALUE;`,
		inHTTP("geo $c {\n10.0.0.0/8 a;\n10.0.0.0/8 b;\ndelete 11.0.0.0/8;\ndefault a;\ndefault b;\n10.1.1.1/8 c;\n}"): `
nginx.conf:4: warning: duplicate network "10.0.0.0/8", value: "b", old value: "a"; remove one
nginx.conf:5: warning: no network "11.0.0.0/8" to delete; write the network as it was written above
nginx.conf:7: warning: duplicate network "default", value: "b", old value: "a"; remove one
nginx.conf:8: warning: low address bits of 10.1.1.1/8 are meaningless
nginx.conf:8: warning: duplicate network "10.1.1.1/8", value: "c", old value: "b"; remove one`,
		inHTTP("geo $c {\nranges;\n10.0.0.0-10.0.0.9 a;\n10.0.0.5-10.0.0.15 b;\n10.0.0.0-10.0.0.9 c;\ndelete 1.1.1.1-2.2.2.2;\ndefault a;\ndefault b;\n}"): `
nginx.conf:5: error: range "10.0.0.5-10.0.0.15" overlaps one above; a range may be inside one above, but not go beyond it
nginx.conf:6: warning: duplicate range "10.0.0.0-10.0.0.9", value: "c", old value: "a"; remove one
nginx.conf:7: warning: no address range "1.1.1.1-2.2.2.2" to delete; write the range as it was written above
nginx.conf:9: warning: duplicate default geo range value: "b", old value: "a"; remove one`,
		inHTTP("split_clients $uri x {\n}\nsplit_clients $uri $y {\n5 a;\n0.001% a;\n5%;\n60% a;\n50% b;\n}\nmap $uri $Y { }"): `
nginx.conf:2: error: invalid variable name "x"; write: split_clients SOURCE $NAME { ... }
nginx.conf:5: error: invalid percent value "5"; write: PERCENT% VALUE; with two decimals at most, or * VALUE; for the rest
nginx.conf:6: error: invalid percent value "0.001%"; write: PERCENT% VALUE; with two decimals at most, or * VALUE; for the rest
nginx.conf:7: error: invalid number of parameters in "5%"; write: PERCENT% VALUE; with two decimals at most, or * VALUE; for the rest
nginx.conf:9: error: percent total is greater than 100%; write shares that add up to 100% at most, and * last
nginx.conf:11: warning: this map replaces an earlier one of "$Y"; choose another name`,
		inServer("valid_referers http://x.test ~ a*b ~(;\nvalid_referers y.test y.test;\nlocation / {\nvalid_referers none;\n}"): `
nginx.conf:3: warning: "http://x.test" matches no referer; write it without http://
nginx.conf:3: error: invalid value "~" in "valid_referers" directive; write ~ and a regex
nginx.conf:3: error: invalid hostname or wildcard "a*b"; write a name or a mask; a * may only be the whole first or the whole last label
nginx.conf:3: error: regex "(": missing closing ); add the ")", or write "\(" for the character itself
nginx.conf:4: error: conflicting parameter "y.test"; remove one
nginx.conf:6: error: the "none" or "blocked" referers are specified in the "valid_referers" directive without any valid referer; write a name, too`,
		inHTTP("auth_request nowhere;\nauth_request_set x y;"): `
nginx.conf:2: error: invalid value "nowhere" in "auth_request" directive; write a path that begins with /, or off
nginx.conf:3: error: invalid variable name "x"; write: auth_request_set $NAME VALUE;`,
		inHTTP("mirror nowhere;\nserver {\nmirror /a;\nmirror off;\nlocation / {\nmirror off;\nmirror /b;\nmirror_request_body no;\n}\n}"): `
nginx.conf:2: error: invalid value "nowhere" in "mirror" directive; write a path that begins with /, or off
nginx.conf:5: error: "mirror" directive is duplicate; write mirror off, or the paths
nginx.conf:8: error: "mirror" directive is duplicate; write mirror off, or the paths
nginx.conf:9: error: invalid value "no" in "mirror_request_body" directive; write "on" or "off"`,
		inServer("location / {\nsecure_link_secret a;\nsecure_link b;\n}"): `
nginx.conf:5: error: "secure_link_secret" cannot be mixed with "secure_link" and "secure_link_md5"; remove one of the two`,
	} {
		_, problems := load(conf)
		if diff := cmp.Diff(strings.TrimPrefix(want, "\n")+"\n", lines(problems)); diff != "" {
			t.Errorf("%s\n(-want +got):\n%s", conf, diff)
		}
	}
}

func TestRuleInheritance(t *testing.T) {
	cfg := mustLoad(t, inHTTP(`allow 10.0.0.0/8; satisfy any; secure_link a; secure_link_md5 b;
		server { listen 80; server_name x.test; valid_referers server_names y.test/a;
			location /same { }
			location /own { deny all; satisfy all; secure_link_secret s; valid_referers none z.test; }
			location /up { proxy_pass http://127.0.0.1:1; return 204; limit_except get { deny all; } } }`))
	locations := cfg.HTTP.Servers[0].Locations
	same, own, up := &locations[0].Settings, &locations[1].Settings, locations[2]
	if len(same.Access) != 1 || !same.SatisfyAny || same.SecureLink.MD5.Text != "b" ||
		same.Referers != cfg.HTTP.Servers[0].Settings.Referers || same.Referers.Server != cfg.HTTP.Servers[0] ||
		same.Referers.Names[0].URI != "/a" || same.Referers.None {
		t.Errorf("inherited: %+v", same)
	}
	if len(own.Access) != 1 || !own.Access[0].All || own.SatisfyAny || own.SecureLink != (config.SecureLink{Secret: own.SecureLink.Secret}) ||
		!own.Referers.None || len(own.Referers.Names) != 1 {
		t.Errorf("own: %+v", own)
	}
	except := up.Except
	if diff := cmp.Diff([]string{"GET", "HEAD"}, except.Methods); diff != "" || except.Location.ProxyPass != up.ProxyPass ||
		except.Location.Return != nil || except.Location.Pattern != "/up" || len(except.Location.Settings.Access) != 1 ||
		len(up.Settings.Access) != 1 || up.Settings.Access[0].All {
		t.Errorf("limit_except: %+v %s", except.Location, diff)
	}
}
