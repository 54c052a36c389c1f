package engine

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// asked is one request of a rule test, and what both programs have to answer.
type asked struct {
	method, target string
	// fields are lines "Name: value".
	fields []string
	// want is the status and, if it is 200, the body.
	want string
}

func ask(target, want string, fields ...string) asked {
	return asked{method: "GET", target: target, fields: fields, want: want}
}

// from is a request of a client with this address.
func from(addr, target, want string, fields ...string) asked {
	return ask(target, want, append(fields, "X-Real-IP: "+addr)...)
}

func (a asked) by(method string) asked {
	a.method = method
	return a
}

// ruleSites are bodies of the http context. Each has one server at unix:DIR/front, whose clients
// have the address of their X-Real-IP. DIR/html/page is a file, DIR/users has u with the password p.
var ruleSites = []struct {
	name, http string
	asked      []asked
}{
	{"allow and deny", `deny 10.9.0.0/16; server { listen unix:DIR/front; error_page 403 /why;
		location = /why { allow all; return 200 "$status $remote_addr"; }
		location / { return 200 never; }
		location /page { }
		location /own/ { alias DIR/html/; allow 10.0.0.1; deny 10.0.0.0/8; allow 2001:db8::/32; deny all; }
		location /bare/ { alias DIR/html/; deny all; error_page 403 = @bare; }
		location @bare { return 200 "bare $uri"; } } `, []asked{
		from("10.9.1.1", "/page", "403 403 10.9.1.1"), from("10.8.1.1", "/page", "200 page"),
		from("10.0.0.1", "/own/page", "200 page"), from("10.0.0.2", "/own/page", "403 403 10.0.0.2"),
		from("2001:db8::7", "/own/page", "200 page"), from("2001:db9::7", "/own/page", "403 403 2001:db9::7"),
		from("10.9.1.1", "/", "200 never"), from("10.9.1.1", "/bare/page", "200 bare /bare/page"),
	}},
	{"satisfy", `auth_basic_user_file DIR/users; server { listen unix:DIR/front;
		location /all/ { alias DIR/html/; allow 10.0.0.0/8; deny all; auth_basic r; }
		location /any/ { alias DIR/html/; satisfy any; allow 10.0.0.0/8; deny all; auth_basic r; }
		location /pass/ { alias DIR/html/; satisfy any; auth_basic r; }
		location /addr/ { alias DIR/html/; satisfy any; allow 10.0.0.1; deny all; }
		location /none/ { alias DIR/html/; satisfy any; deny 10.0.0.2; auth_basic r; } }`, []asked{
		from("10.0.0.1", "/all/page", "401 r"), from("10.0.0.1", "/all/page", "200 page", right),
		from("11.0.0.1", "/all/page", "403", right), from("11.0.0.1", "/all/page", "403"),
		from("10.0.0.1", "/any/page", "200 page"), from("11.0.0.1", "/any/page", "200 page", right),
		from("11.0.0.1", "/any/page", "401 r"), from("11.0.0.1", "/any/page", "401 r", wrong),
		from("10.0.0.1", "/any/page", "200 page", wrong),
		from("10.0.0.1", "/pass/page", "401 r"), from("10.0.0.1", "/pass/page", "200 page", right),
		from("10.0.0.1", "/addr/page", "200 page"), from("10.0.0.2", "/addr/page", "403"),
		from("10.0.0.2", "/none/page", "401 r"), from("10.0.0.3", "/none/page", "401 r"),
		from("10.0.0.3", "/none/page", "200 page", right),
	}},
	{"limit_except", `upstream back { server unix:DIR/back; }
		server { listen unix:DIR/back; location / { return 200 "$request_method $request_uri"; } }
		server { listen unix:DIR/front; auth_basic_user_file DIR/users;
		location /ret { limit_except GET { deny all; } return 200 "returned"; }
		location /free { limit_except GET { allow all; } return 200 "returned"; }
		location /try { limit_except GET { allow all; } try_files /nope =418; }
		location /up/ { limit_except get { allow 10.0.0.1; deny all; } proxy_pass http://back/x/; }
		location /own { limit_except POST mkcol { proxy_pass http://back; } return 200 "own"; }
		location /auth { limit_except OPTIONS { auth_basic w; } proxy_pass http://back; }
		location /in { internal; limit_except POST { deny all; } }
		location /err { limit_except GET { deny all; } error_page 403 /err/page; }
		location /err/page { limit_except GET { deny all; } return 200 "page"; }
		location @n { limit_except GET { deny all; } return 200 named; }
		location /tn { try_files /nope @n; }
		location /nest { limit_except GET { deny all; } location /nest/in { return 200 in; } } }`, []asked{
		ask("/ret", "200 returned"), ask("/ret", "403").by("POST"), ask("/ret", "403").by("BREW"), ask("/ret", "200 ").by("HEAD"),
		ask("/free", "200 returned"), ask("/free", "405").by("PUT"), ask("/try", "418"), ask("/try", "405").by("PUT"),
		from("10.0.0.2", "/up/y", "200 GET /x/y"), from("10.0.0.1", "/up/y", "200 PUT /x/y").by("PUT"),
		from("10.0.0.2", "/up/y", "403").by("PUT"),
		ask("/own", "200 GET /own"), ask("/own", "200 own").by("POST"), ask("/own", "200 own").by("MKCOL"),
		ask("/own", "200 BREW /own").by("BREW"), ask("/own", "200 ").by("HEAD"),
		ask("/auth", "200 OPTIONS /auth").by("OPTIONS"), ask("/auth", "401 w"), ask("/auth", "200 GET /auth", right),
		ask("/in", "404"), ask("/in", "404").by("POST"),
		ask("/err", "403 page").by("POST"), ask("/err/page", "200 page"), ask("/err/page", "403").by("POST"),
		ask("/tn", "200 named"), ask("/tn", "403").by("POST"),
		ask("/nest", "403").by("POST"), ask("/nest/in", "200 in").by("POST"),
	}},
	{"geo", `geo $g { default out; 10.0.0.0/8 ten; 10.1.0.0/16 "ten one"; 10.1.2.3 $uri; 2001:db8::/32 doc; delete 10.9.9.0/24;
		255.255.255.255 unix; 10.7.0.0/16 ""; }
		geo $arg_a $a { 0.0.0.0/1 low; 128.0.0.0/1 high; ::/1 low6; }
		geo $p { proxy 10.0.0.0/8; default no; 192.0.2.0/24 yes; 10.0.0.0/8 proxy; }
		geo $r { proxy 10.0.0.0/8; proxy_recursive; 192.0.2.0/24 yes; 10.0.0.0/8 proxy; }
		geo $arg_a $s { ranges; default out; 10.0.0.0-10.0.1.255 a; 10.0.0.7-10.0.0.7 b; 10.200.0.0-11.100.0.0 c; }
		map $g $m { ten TEN; default "$g$s"; }
		server { listen unix:DIR/front; location / { return 200 "$g|$a|$p|$r|$s|$m"; } }`, []asked{
		from("10.2.2.2", "/?a=1.1.1.1", "200 ten|low|proxy|proxy|out|TEN"),
		from("10.1.2.2", "/?a=129.1.1.1", "200 ten one|high|proxy|proxy|out|ten oneout"),
		from("10.1.2.3", "/?a=::1", "200 $uri|low6|proxy|proxy|out|$uriout"),
		from("2001:db8::1", "/?a=f000::", "200 doc||no||out|docout"),
		from("10.7.1.1", "/?a=x", "200 |high|proxy|proxy|out|out"),
		from("1.1.1.1", "/", "200 out|high|no||out|outout"),
		from("1.1.1.1", "/?a=10.0.0.7", "200 out|low|no||b|outb"), from("1.1.1.1", "/?a=10.0.0.8", "200 out|low|no||a|outa"),
		from("1.1.1.1", "/?a=10.200.0.0", "200 out|low|no||c|outc"), from("1.1.1.1", "/?a=11.100.0.1", "200 out|low|no||out|outout"),
		from("1.1.1.1", "/?a=10.255.0.0", "200 out|low|no||c|outc"), from("1.1.1.1", "/?a=::ffff:10.0.0.7", "200 out|low|no||b|outb"),
		from("10.0.0.1", "/", "200 ten|high|yes|yes|out|TEN", "X-Forwarded-For: 192.0.2.1"),
		from("10.0.0.1", "/", "200 ten|high|proxy|yes|out|TEN", "X-Forwarded-For: 192.0.2.1, 10.3.3.3"),
		from("10.0.0.1", "/", "200 ten|high|no||out|TEN", "X-Forwarded-For: 192.0.2.1, 8.8.8.8"),
		from("1.1.1.1", "/", "200 out|high|no||out|outout", "X-Forwarded-For: 192.0.2.1"),
		ask("/", "200 unix|high|no||out|unixout"),
	}},
	{"auth_request", `auth_basic_user_file DIR/users; upstream back { server unix:DIR/back; }
		server { listen unix:DIR/back;
			location /content { return 200 "$request_method $http_x_user"; }
			location /s200 { add_header X-User "user $http_x_u"; return 204; } location /s403 { return 403; } location /s401 {
			add_header WWW-Authenticate 'Basic realm="up"' always; return 401; } location /s500 { return 500; } }
		server { listen unix:DIR/front; location /judge { internal; proxy_pass http://back/s$http_x_s; }
		auth_request /judge; auth_request_set $user $upstream_http_x_user;
		location / { proxy_pass http://back/content; proxy_set_header X-User $user; error_page 403 /why; }
		location = /why { auth_request off; return 200 "why $user"; }
		location /off/ { auth_request off; alias DIR/html/; }
		location /any/ { satisfy any; auth_basic r; alias DIR/html/; }
		location /addr/ { satisfy any; allow 10.0.0.1; deny all; alias DIR/html/; } }`, []asked{
		ask("/", "200 GET user me", "X-S: 200", "X-U: me"), ask("/", "200 POST user me", "X-S: 200", "X-U: me").by("POST"),
		ask("/", "403 why", "X-S: 403"), ask("/", "401 up", "X-S: 401"), ask("/", "500", "X-S: 500"), ask("/off/page", "200 page"),
		ask("/any/page", "401 r", "X-S: 403"), ask("/any/page", "200 page", "X-S: 403", right), ask("/any/page", "200 page", "X-S: 200"),
		from("10.0.0.1", "/addr/page", "200 page", "X-S: 403"), from("10.0.0.2", "/addr/page", "403", "X-S: 403"),
		from("10.0.0.2", "/addr/page", "200 page", "X-S: 200"), ask("/judge", "404", "X-S: 200"),
	}},
	{"map", `map $arg_a $plain { default other; one 1; TWO 2; "" empty; ~^r(\d)(?<rest>.*) "$1-$rest-$uri"; ~*^CASE c; \~x tilde;
		\default word; "two words" 22; ~^r never; *.x.test star; }
		map $arg_h $host2 { hostnames; default other; x.test exact; *.x.test star; .y.test both; www.z.* tail;
			*.a.x.test longer; ~^re\. regex; "" none; }
		map $arg_a$arg_h $both { volatile; "" nothing; default "$plain/$host2"; }
		map $plain $chain { 1 first; c "$both"; }
		map $arg_a $twice { one a; } map $arg_a $twice { one b; }
		map "$arg_a" $noDefault { one x; }
		server { listen unix:DIR/front; location / { return 200 "$plain|$host2|$both|$chain|$twice|$noDefault"; } }`, []asked{
		ask("/?a=one", "200 1|none|1/none|first|b|x"), ask("/?a=ONE", "200 1|none|1/none|first|b|x"), ask("/?a=two", "200 2|none|2/none|||"),
		ask("/", "200 empty|none|nothing|||"), ask("/u?a=r5tail", "200 5-tail-/u|none|5-tail-/u/none|||"),
		ask("/?a=r", "200 never|none|never/none|||"), ask("/?a=caseless", "200 c|none|c/none|c/none||"),
		ask("/?a=~x", "200 tilde|none|tilde/none|||"), ask("/?a=default", "200 word|none|word/none|||"),
		ask("/?a=a.x.test", "200 other|none|other/none|||"), ask("/?a=*.x.test", "200 star|none|star/none|||"),
		ask("/?h=x.test", "200 empty|exact|empty/exact|||"), ask("/?h=X.test.", "200 empty|exact|empty/exact|||"),
		ask("/?h=b.x.test", "200 empty|star|empty/star|||"), ask("/?h=b.a.x.test", "200 empty|longer|empty/longer|||"),
		ask("/?h=a.x.test", "200 empty|star|empty/star|||"), ask("/?h=y.test", "200 empty|both|empty/both|||"),
		ask("/?h=q.y.test", "200 empty|both|empty/both|||"), ask("/?h=www.z.org", "200 empty|tail|empty/tail|||"),
		ask("/?h=www.z", "200 empty|other|empty/other|||"), ask("/?h=re.x", "200 empty|regex|empty/regex|||"),
		ask("/?h=RE.x", "200 empty|other|empty/other|||"), ask("/?h=.", "200 empty|none|empty/none|||"),
	}},
	{"realip", `real_ip_header X-Forwarded-For; set_real_ip_from 10.0.0.0/8; set_real_ip_from 2001:db8::/32;
		server { listen unix:DIR/front; set_real_ip_from unix:; set_real_ip_from 10.0.0.0/8;
		location / { return 200 "$remote_addr $remote_port $realip_remote_addr"; }
		location /page { real_ip_recursive on; alias DIR/html/page; add_header X $remote_addr; error_page 403 = /seen; deny all; }
		location = /seen { return 200 "$remote_addr $remote_port"; }
		location /field { real_ip_header X-Client; alias DIR/html/page; error_page 403 = /seen; deny all; } }`, []asked{
		ask("/", "200 unix:  unix:"), ask("/", "200 192.0.2.1  unix:", "X-Forwarded-For: 192.0.2.1"),
		ask("/", "200 10.0.0.1  unix:", "X-Forwarded-For: 192.0.2.1, 10.0.0.1"),
		ask("/", "200 192.0.2.1 8000 unix:", "X-Forwarded-For: 192.0.2.1:8000"),
		ask("/", "200 2001:db8::1 81 unix:", "X-Forwarded-For: [2001:db8::1]:81"),
		ask("/", "200 unix:  unix:", "X-Forwarded-For: nobody"),
		ask("/page", "200 10.0.0.1", "X-Forwarded-For: 192.0.2.1, 10.0.0.1"),
		ask("/field", "200 192.0.2.5", "X-Client: 192.0.2.5"),
		ask("/field", "200 192.0.2.6", "X-Client: 192.0.2.5, 192.0.2.6"),
	}},
	{"valid_referers", `server { listen unix:DIR/front; server_name front.test *.wild.test ~^re\d; error_page 400 /x;
		valid_referers none server_names plain.test *.mask.test .dot.test tail.* part.test/a/b ~\.rx\.test/x;
		location / { return 200 "[$invalid_referer]"; }
		location /blocked { valid_referers blocked x.test; return 200 "[$invalid_referer]"; }
		location /nothing { location /nothing/here { return 200 "[$invalid_referer]"; } } }
		server { listen unix:DIR/other; location / { return 200 "[$invalid_referer]"; } }`, []asked{
		ask("/", "200 []"), refers("http://plain.test/", "[]"), refers("https://PLAIN.test:8/x", "[]"), refers("http://plain.testy", "[1]"),
		refers("plain.test", "[1]"), refers("ftp://plain.test/", "[1]"), refers("http://a.mask.test/", "[]"),
		refers("http://mask.test/", "[1]"), refers("http://dot.test", "[]"), refers("http://x.dot.test", "[]"),
		refers("http://tail.org/", "[]"), refers("http://part.test/a/bc", "[]"), refers("http://part.test:80/a/bc", "[]"),
		refers("http://part.test/a", "[1]"), refers("http://part.test", "[1]"), refers("http://front.test", "[]"),
		refers("http://x.wild.test/", "[]"), refers("http://re5/", "[]"), refers("http://re/", "[1]"),
		refers("http://a.rx.test/x", "[]"), refers("http://a.rx.test/y", "[1]"), refers("http://a.b", "[1]"), refers("", "[1]"),
		ask("/blocked", "200 [1]"), ask("/blocked", "200 []", "Referer: masked"), ask("/blocked", "200 [1]", "Referer: http://no.test/"),
		ask("/blocked", "200 []", "Referer: http://x.test/"), ask("/nothing/here", "200 []", "Referer: http://tail.x/"),
	}},
	{"secure_link", `server { listen unix:DIR/front; location / { secure_link $arg_m,$arg_e; secure_link_md5 "key$uri$arg_e";
			return 200 "[$secure_link|$secure_link_expires]"; }
		location /plain { secure_link $arg_m; secure_link_md5 "key$uri"; return 200 "[$secure_link|$secure_link_expires]"; }
		location /half { secure_link $arg_m; return 200 "[$secure_link]"; }
		location /p/ { secure_link_secret word; return 200 "[$secure_link]"; } }`, []asked{
		ask("/a?m="+sum("key/a2147483647")+"&e=2147483647", "200 [1|2147483647]"),
		ask("/a?m="+sum("key/a1000000000")+"&e=1000000000", "200 [0|1000000000]"),
		ask("/a?m="+sum("key/b2147483647")+"&e=2147483647", "200 [|2147483647]"),
		ask("/a?m="+sum("key/a")+"&e=", "200 [|]"), ask("/a?m="+sum("key/a")+"&e=x", "200 [|]"), ask("/a", "200 [|]"),
		ask("/a?m="+sum("key/a0")+"&e=0", "200 [|]"), ask("/a?m=short&e=2147483647", "200 [|2147483647]"),
		ask("/plain?m="+sum("key/plain"), "200 [1|]"), ask("/plain?m="+sum("key/plain")+"==", "200 [1|]"),
		ask("/plain?m="+sum("key/plain")+"x", "200 [|]"), ask("/plain", "200 [|]"),
		ask("/half?m=x", "200 []"),
		ask("/p/"+hexSum("some/linkword")+"/some/link", "200 [some/link]"),
		ask("/p/"+strings.ToUpper(hexSum("l?a=bword"))+"/l?a=b", "200 [l?a=b]"),
		ask("/p/"+hexSum("wrong")+"/some/link", "200 []"), ask("/p/"+hexSum("word")+"/", "200 []"), ask("/p/x", "200 []"),
	}},
}

const right, wrong = "Authorization: Basic dTpw", "Authorization: Basic dTpx"

func refers(referer, want string) asked { return ask("/", "200 "+want, "Referer: "+referer) }

func sum(text string) string {
	s := md5.Sum([]byte(text))
	return base64.RawURLEncoding.EncodeToString(s[:])
}

func hexSum(text string) string {
	s := md5.Sum([]byte(text))
	return hex.EncodeToString(s[:])
}

// TestRules has nginx and holdfast answer the same requests under the same configuration.
func TestRules(t *testing.T) {
	for _, site := range ruleSites {
		t.Run(site.name, func(t *testing.T) {
			body := "set_real_ip_from unix:; root DIR/html;\n" + site.http
			dir := worldDir(t)
			withSite(t, dir)
			ours := launch(t, dir, "worker_processes 1; pid DIR/pid; error_log DIR/error.log info;\n"+
				"events { worker_connections 64; }\nhttp { access_log off;\n"+body+"\n}\n")
			listens(t, dir, ours.ended)
			answerAll(t, "holdfast", dir, site.asked)
			if site.name == "allow and deny" {
				until(t, "the error log", func() bool { return strings.Contains(read(dir+"/error.log"), "access forbidden by rule") })
			}
			if dir := startNginx(t, body); dir != "" {
				answerAll(t, "nginx", dir, site.asked)
			}
		})
	}
}

// withSite puts the files of a rule test into a folder.
func withSite(t *testing.T, dir string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Join(dir, "html"), 0o755))
	must(t, os.WriteFile(filepath.Join(dir, "html", "page"), []byte("page"), 0o644))
	must(t, os.WriteFile(filepath.Join(dir, "users"), []byte("u:{PLAIN}p\n"), 0o644))
}

func answerAll(t *testing.T, who, dir string, list []asked) {
	t.Helper()
	client := &http.Client{Timeout: patience, Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", dir+"/front")
		},
	}}
	defer client.CloseIdleConnections()
	for _, a := range list {
		req, err := http.NewRequest(a.method, "http://front.test"+a.target, nil)
		must(t, err)
		for _, field := range a.fields {
			name, value, _ := strings.Cut(field, ": ")
			req.Header[name] = []string{value}
		}
		resp, err := client.Do(req)
		must(t, err)
		body, err := io.ReadAll(resp.Body)
		must(t, err)
		resp.Body.Close()
		got := strconv.Itoa(resp.StatusCode)
		realm := strings.TrimSuffix(strings.TrimPrefix(resp.Header.Get("Www-Authenticate"), `Basic realm="`), `"`)
		switch {
		case realm != "":
			got += " " + realm
		case !bytes.Contains(body, []byte("<html>")):
			got += " " + string(body)
		}
		if strings.TrimSpace(got) != strings.TrimSpace(a.want) {
			t.Errorf("%s: %s %s %q: %q, want %q", who, a.method, a.target, a.fields, got, a.want)
		}
	}
}

// TestRulesInStream is TestRules for stream, where the addresses of loopback are the clients'.
func TestRulesInStream(t *testing.T) {
	const module = "/usr/lib/nginx/modules/ngx_stream_module.so"
	const body = `map $remote_addr $m { volatile; 127.0.0.9 exact; ~^127\.0\.0\.(?<n>[1-4])$ "n$n $g"; default "$s"; }
		geo $g { default out; 127.0.0.0/30 low; 127.0.0.2 two; }
		geo $remote_addr $r { ranges; default out; 127.0.0.0-127.0.0.7 a; 127.0.0.2-127.0.0.3 b; }
		map $host $h { hostnames; default other; *.x.test x; } map $remote_addr $host { 127.0.0.5 a.x.test; }
		split_clients "${remote_addr}x" $s { 25% one; 25% two; 25% three; * rest; }
		server { listen FRONT; return "$g|$r|$m|$h|$s"; }`
	answers := func(address string) (all string) {
		for i := 1; i < 12; i++ {
			dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(i))}, Timeout: patience}
			conn, err := dialer.Dial("tcp", address)
			must(t, err)
			must(t, conn.SetDeadline(time.Now().Add(patience)))
			text, err := io.ReadAll(conn)
			must(t, err)
			conn.Close()
			all += string(text) + "\n"
		}
		return all
	}
	ours := launch(t, worldDir(t), "pid DIR/pid; error_log DIR/error.log; events { worker_connections 64; }\n"+
		"http { access_log off; server { listen unix:DIR/front; return 204; } }\nstream { "+body+" }\n")
	listens(t, ours.dir, ours.ended)
	got := answers(ours.front)
	for _, want := range []string{"low|a|n1 low|other|", "\ntwo|b|n2 two|other|", "\nout|a|", "|x|", "|exact|"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is missing in\n%s", want, got)
		}
	}
	if _, err := os.Stat(module); err != nil {
		t.Skip("nginx has no stream module here")
	}
	front := freeAddress(t).String()
	if dir := startNginxWith(t, "load_module "+module+"; stream { "+strings.ReplaceAll(body, "FRONT", front)+" }\n",
		"server { listen unix:DIR/front; return 204; }"); dir != "" {
		if want := answers(front); got != want {
			t.Errorf("nginx\n%sholdfast\n%s", want, got)
		}
	}
}

func startNginx(t *testing.T, body string) string {
	t.Helper()
	return startNginxWith(t, "", body)
}

// startNginxWith runs the installed nginx with directives of its main context and a body of its http
// context, and returns its folder; "" without nginx.
func startNginxWith(t *testing.T, main, body string) string {
	t.Helper()
	bin, err := exec.LookPath("nginx")
	if err != nil {
		if os.Getenv("HOLDFAST_REQUIRE_PEERS") == "1" {
			t.Fatal("nginx is not installed, but HOLDFAST_REQUIRE_PEERS=1")
		}
		return ""
	}
	dir := worldDir(t)
	withSite(t, dir)
	text := main + "daemon off; master_process off; pid DIR/pid; error_log DIR/error.log info; events {}\n" +
		"http { access_log off; client_body_temp_path DIR/c; proxy_temp_path DIR/p; fastcgi_temp_path DIR/f;\n" +
		"uwsgi_temp_path DIR/u; scgi_temp_path DIR/s; server_names_hash_bucket_size 128;\n" + body + "\n}\n"
	conf := filepath.Join(dir, "nginx.conf")
	must(t, os.WriteFile(conf, []byte(fill(text, dir, "")), 0o600))
	var output bytes.Buffer
	cmd := exec.Command(bin, "-e", filepath.Join(dir, "error.log"), "-p", dir, "-c", conf)
	cmd.Stdout, cmd.Stderr = &output, &output
	must(t, cmd.Start())
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-ended
		if t.Failed() {
			t.Logf("nginx wrote:\n%s", &output)
		}
	})
	listens(t, dir, ended)
	return dir
}

// listens waits for somebody to listen at the front of a rule test.
func listens(t *testing.T, dir string, ended <-chan struct{}) {
	t.Helper()
	until(t, "the front", func() bool {
		select {
		case <-ended:
			t.Fatal("the process has ended")
		default:
		}
		conn, err := net.DialTimeout("unix", filepath.Join(dir, "front"), time.Second)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}
