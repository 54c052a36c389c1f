package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/config"
)

// TestProblems pins what is said about a wrong configuration: where, how bad, what,
// and what to write instead.
func TestProblems(t *testing.T) {
	for _, tc := range []struct{ name, conf, want string }{
		{"unknown word", "worker_proceses 2;", `
nginx.conf:1: error: unknown directive "worker_proceses"; did you mean worker_processes?`},
		{"unknown word like nothing", "frobnicate on;", `
nginx.conf:1: error: unknown directive "frobnicate"; holdfast directives lists them all`},
		{"wrong place", "listen 80;", `
nginx.conf:1: error: "listen" directive is not allowed here; its place is: server, stream server`},
		{"arguments", "pid;", `
nginx.conf:1: error: invalid number of arguments in "pid" directive; write: pid file;`},
		{"flag", inHTTP("tcp_nodelay yes;"), `
nginx.conf:2: error: invalid value "yes" in "tcp_nodelay" directive; write "on" or "off"`},
		{"time", inHTTP("send_timeout 1s1m;"), `
nginx.conf:2: error: invalid value "1s1m" in "send_timeout" directive; write a time such as 60s, 1m30s or 500ms`},
		{"size", inHTTP("client_max_body_size 8kb;"), `
nginx.conf:2: error: invalid value "8kb" in "client_max_body_size" directive; write a size such as 512, 8k or 1m`},
		{"duplicate", "pid a;\npid b;", `
nginx.conf:2: error: "pid" directive is duplicate; remove one; the first is at /etc/h/nginx.conf:1`},
		{"block without braces", "http;", `
nginx.conf:1: error: directive "http" has no opening "{"; write: http { ... }`},
		{"braces on a simple directive", "pid x { }", `
nginx.conf:1: error: directive "pid" is not terminated by ";"; write: pid file;`},
		{"missing semicolon", "http {\n server {\n listen 80\n }\n}", `
nginx.conf:4: error: unexpected "}"; end the statement before it with ";", or quote a pattern that has braces`},
		{"missing brace", "http {\n server {\n listen 80;\n}\n", `
nginx.conf:5: error: unexpected end of file, expecting "}"; the block that begins in line 1 has no "}"`},
		{"extra brace", "http { }\n}\n", `
nginx.conf:2: error: unexpected "}"; remove it: all blocks are closed already`},
		{"extra semicolon", "pid a;;", `
nginx.conf:1: error: unexpected ";"; remove it`},
		{"open quote", `pid "a;`, `
nginx.conf:1: error: unexpected end of file, expecting ";" or "}"; ` +
			`the quote that begins in line 1 is not closed`},
		{"no effect, said once", inHTTP("gzip on; tcp_nopush on;\nserver { listen 80; tcp_nopush off; return 204; }"), `
nginx.conf:2: warning: "gzip" has no effect: responses pass as the upstream encoded them
nginx.conf:2: warning: "tcp_nopush" has no effect: what is ready is written at once`},
		{"refused", inServer("location / { fastcgi_pass unix:/x; }\nlocation /a { random_index on; }"), `
nginx.conf:3: error: "fastcgi_pass" is not supported; use proxy_pass to a server that speaks HTTP
nginx.conf:4: error: "random_index" is not supported; files are only read, and sent as they are; remove it`},
		{"known to nginx, without a row", inServer("perl_set $a b;\nreturn 204;"), `
nginx.conf:3: error: "perl_set" is not supported; it is not in this version; remove it`},
		{"refused block is not entered", "mail { server { listen 1; frob x; } }", `
nginx.conf:1: error: "mail" is not supported; holdfast proxies HTTP, WebSockets and plain streams only`},
		{"root beside alias", inServer("location /a/ {\nroot /x;\nalias /y/;\n}\nlocation @b { alias /z; }"), `
nginx.conf:5: error: "alias" beside the "root" at /etc/h/nginx.conf:4; remove one of the two
nginx.conf:7: error: "alias" cannot be used in a named location; write root`},
		{"root of itself", inServer("root $document_root/x;\nlocation / { alias ${realpath_root}; }"), `
nginx.conf:3: error: the variable "$document_root" cannot be used in "root"; write the folder itself
nginx.conf:4: error: the variable "$realpath_root" cannot be used in "alias"; write the folder itself`},
		{"folders are not listed", inServer("autoindex on;\ndisable_symlinks if_not_owner from=/srv;\nautoindex_format json;"), `
nginx.conf:3: error: "autoindex" is not supported; remove it: folders are not listed
nginx.conf:4: error: "disable_symlinks" is not supported; remove it and keep links out of the folder: ` +
			`holdfast follows them, so it would not protect what it should
nginx.conf:5: warning: "autoindex_format" has no effect: folders are not listed`},
		{"index", inServer("index /a b;\nindex \"\";"), `
nginx.conf:3: warning: only the last name of "index" should be absolute, not "/a"; put it last
nginx.conf:4: error: invalid value "" in "index" directive; write the name of a file`},
		{"types", inHTTP("types {\ntext/html html;\ntext/plain HTML;\nx { } }"), `
nginx.conf:4: warning: the ending "html" was "text/html" before; remove one
nginx.conf:5: error: unexpected "{"; write: MIME-TYPE ENDING ...;`},
		{"try_files", inServer("location /a { try_files $uri; }\nlocation /b { try_files @x $uri =1000; }\n" +
			"location /c { try_files $uri \"\"; }"), `
nginx.conf:3: error: invalid number of arguments in "try_files" directive; ` +
			`write: try_files file ... uri | file ... @name | file ... =code;
nginx.conf:4: warning: "@x" of "try_files" is looked for as a file: it is not the last; put it last
nginx.conf:4: error: invalid value "=1000" in "try_files" directive; write =404, or another status from 200 to 599
nginx.conf:5: error: invalid value "" in "try_files" directive; write a path, @name or =404`},
		{"error_page", inHTTP("error_page 404 499 /x;\nerror_page 200 /x;\nerror_page = /x;\nerror_page 404 =2000 /x;\n" +
			"error_page 404 404.html;\nerror_page 404 @$uri;"), `
nginx.conf:2: error: invalid value "499" in "error_page" directive; ` +
			`write a status from 300 to 599, but not 499: that client is gone
nginx.conf:3: error: the status "200" of "error_page" must be between 300 and 599
nginx.conf:4: error: invalid value "=" in "error_page" directive; write: error_page CODE ... [=[CODE]] PAGE;
nginx.conf:5: error: invalid value "=2000" in "error_page" directive; ` +
			`write = and a status from 200 to 599, or = alone
nginx.conf:6: warning: error_page: the client is redirected to "404.html" as it stands; begin it with /
nginx.conf:7: error: invalid value "@$uri" in "error_page" directive; ` +
			`write @ and the name of a location, without variables`},
		{"names of locations", inHTTP("error_page 502 @down;\nserver { listen 80;\nlocation @down { return 200; }\n" +
			"location /a { try_files $uri @donw;\nlocation /a/b { error_page 404 @other; } } }\n" +
			"server { listen 81; }"), `
nginx.conf:2: error: error_page: there is no location "@down" in the server at /etc/h/nginx.conf:7; ` +
			`add: location @down { ... }
nginx.conf:5: error: try_files: there is no location "@donw" in the server at /etc/h/nginx.conf:3; did you mean @down?
nginx.conf:6: error: error_page: there is no location "@other" in the server at /etc/h/nginx.conf:3; ` +
			`add: location @other { ... }`},
		{"add_header", inHTTP("add_header A b sometimes;\nadd_header content-length 1;\nadd_header \"A b\" c;\n" +
			"add_header A \"b\\r\\nC: d\";\nexpires modified @1h;\nserver_tokens $host;"), `
nginx.conf:2: error: invalid value "sometimes" in "add_header" directive; write always, or nothing
nginx.conf:3: error: "content-length" cannot be set by "add_header"; remove it: holdfast writes this field itself
nginx.conf:4: error: invalid value "A b" in "add_header" directive; write the name of a header field
nginx.conf:5: error: invalid value "b\r\nC: d" in "add_header" directive; write the value without line ends
nginx.conf:6: error: invalid value "@1h" in "expires" directive; ` +
			`a time of the day cannot count from the modification: leave out one of the two
nginx.conf:7: error: invalid value "$host" in "server_tokens" directive; ` +
			`write on, off, build, or a text without variables, line ends, < and >`},
		{"more than is held", inHTTP("client_body_buffer_size 1m;\nproxy_buffers 256 4k;\nproxy_buffer_size 8k;\n" +
			"proxy_max_temp_file_size 1g;\nproxy_buffering on; proxy_request_buffering on;"), `
nginx.conf:2: warning: "client_body_buffer_size" counts as 128k; nothing is lost: what is larger is streamed
nginx.conf:3: warning: "proxy_buffers" counts as 128k; nothing is lost: what is larger is streamed
nginx.conf:4: warning: "proxy_buffer_size" has no effect: a response head may have 64 KiB, whatever is written
nginx.conf:5: warning: "proxy_max_temp_file_size" has no effect: ` +
			`bodies are never written to disk: what is larger than the buffers is streamed`},
		{"URI in regex location", inServer(`location ~ \.x$ { proxy_pass http://127.0.0.1/a; }`), `
nginx.conf:3: error: "proxy_pass" cannot have URI part in location given by regular expression, ` +
			`or inside named location; ` +
			`write it without /a`},
		{"host not found", inServer("location / { proxy_pass http://nosuch.test:81; }"), `
nginx.conf:3: error: host not found in upstream "nosuch.test:81"; write an address, or the name of an upstream block`},
		{"upstream with port", inHTTP("upstream u { server 127.0.0.1; }\nserver { listen 80; location / {\n" +
			"proxy_pass http://u:8080; } }"), `
nginx.conf:4: error: upstream "u" may not have port 8080; write the port in the upstream block at /etc/h/nginx.conf:2`},
		{"resolver without", inServer("resolver 127.0.0.1;\nlocation / { proxy_pass http://backend.test; }"), `
nginx.conf:3: warning: "resolver" has no effect: names are resolved when the configuration is read`},
		{"lookahead", inServer(`location ~ ^/(?!api) { return 204; }`), `
nginx.conf:3: error: regex "^/(?!api)" uses negative lookahead, which is not supported; ` +
			`write it without; regular expressions are those of RE2, which match in linear time`},
		{"backreference", inServer(`location ~ ^/(a)\1 { return 204; }`), `
nginx.conf:3: error: regex "^/(a)\\1" uses a backreference, which is not supported; ` +
			`write it without; regular expressions are those of RE2, which match in linear time`},
		{"nesting", inServer("location /a {\n return 200;\n location /b { return 201; }\n location @c { return 202; } }"), `
nginx.conf:5: error: location "/b" is outside location "/a"; move it to the server level
nginx.conf:6: error: named location "@c" can be on the server level only; move it to the server level`},
		{"duplicate location", inServer("location /a { return 200; }\nlocation ^~ /a { return 201; }"), `
nginx.conf:4: error: duplicate location "/a"; remove one; the first is at /etc/h/nginx.conf:3`},
		{"listen options twice", inHTTP("server { listen 80 backlog=9; return 204; }\n" +
			"server { listen 80 backlog=9; return 204;\nserver_name a; }"), `
nginx.conf:3: error: duplicate listen options for 0.0.0.0:80; ` +
			`write them in one server only; the first are at /etc/h/nginx.conf:2`},
		{"two default servers", inHTTP("server { listen 80 default_server; return 204; }\n" +
			"server { listen 80 default; return 204; server_name a; }"), `
nginx.conf:3: error: a duplicate default server for 0.0.0.0:80; ` +
			`write default_server once per address; the first is at /etc/h/nginx.conf:2`},
		{"listen twice", inHTTP("server { listen 80;\nlisten *:80; return 204; }"), `
nginx.conf:3: error: a duplicate listen 0.0.0.0:80; remove it; the first is at /etc/h/nginx.conf:2`},
		{"same name twice", inHTTP("server { listen 80; server_name a; return 204; }\n" +
			"server { listen 80;\nserver_name A; return 204; }"), `
nginx.conf:4: warning: conflicting server name "a" on 0.0.0.0:80, ignored`},
		{"quic", inHTTP("server { listen 443 quic reuseport;\nlisten 80 http2; return 204; }"), `
nginx.conf:2: warning: "listen 443 quic reuseport" is left out: QUIC is not supported
nginx.conf:3: warning: "http2" of "listen" has no effect: clients are answered in HTTP/1.1`},
		{"unknown log format", inHTTP("access_log a.log fancy;"), `
nginx.conf:2: error: unknown log format "fancy"; define it with log_format in http`},
		{"log destinations", inHTTP("access_log syslog:server=x;\nerror_log /tmp/$host;"), `
nginx.conf:2: error: host not found in syslog server "x"; write server=ADDRESS[:PORT] or server=unix:PATH
nginx.conf:3: error: variables in the path of "error_log" are not supported; write a path without variables; ` +
			`if= chooses what a file gets`},
		{"map", inHTTP("map $host $a { x 1;\nX 2;\ny; }\nmap $host b { }"), `
nginx.conf:3: error: conflicting parameter "X"; remove one; the first is at /etc/h/nginx.conf:2
nginx.conf:4: error: invalid number of the map parameters; write: PATTERN VALUE;
nginx.conf:5: error: invalid variable name "b"; write: map SOURCE $NAME { ... }`},
		{"missing include", "include mime.typs;", `
nginx.conf:1: error: include "mime.typs": no such file`},
		{"user without root", "user www;", `
nginx.conf:1: warning: "user" has no effect: the process is not root and keeps its user; ` +
			`start it as root, or remove the line`},
		{"not UTF-8", "# \xe9 in a comment is fine\npid \xe9;", `
nginx.conf:2: error: a byte that is not UTF-8; write the file in UTF-8`},
		{"daemon", "daemon on;\nmaster_process off;", `
nginx.conf:1: warning: "daemon" has no effect: holdfast stays in the foreground; ` +
			`let the service manager put it in the background`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg, problems := config.LoadText("/etc/h/nginx.conf", tc.conf, hermetic(nil))
			if diff := cmp.Diff(strings.TrimPrefix(tc.want, "\n")+"\n", lines(problems)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if (cfg == nil) != config.HasErrors(problems) {
				t.Errorf("config is nil: %v, errors: %v", cfg == nil, config.HasErrors(problems))
			}
		})
	}
}

// TestAllProblemsAtOnce loads a file with several includes and expects everything
// wrong in any of them, each file's problems together, in the order of reading.
func TestAllProblemsAtOnce(t *testing.T) {
	opt := hermetic(map[string]string{
		"/etc/h/nginx.conf":   "include main.conf;\nhttp {\n include sites/*.conf;\n keepalive_timeout x;\n}\nwrong 1;\n",
		"/etc/h/main.conf":    "worker_processes zero;\n",
		"/etc/h/sites/a.conf": "server { listen 80; location / { proxy_pas http://x; } }\n",
		"/etc/h/sites/b.conf": "server {\n listen 99999;\n include nginx.conf;\n" +
			" include /etc/h/sites/par.inc; return 204;\n}\n",
		"/etc/h/sites/par.inc": "server_name a..b;\n",
	})
	_, problems := config.Load("/etc/h/nginx.conf", opt)
	want := `nginx.conf:4: error: invalid value "x" in "keepalive_timeout" directive; ` +
		`write a time such as 60s, 1m30s or 500ms
nginx.conf:6: error: unknown directive "wrong"; holdfast directives lists them all
main.conf:1: error: invalid value "zero" in "worker_processes" directive; write a number from 1 to 1024, or "auto"
sites/a.conf:1: error: unknown directive "proxy_pas"; did you mean proxy_pass?
sites/b.conf:2: error: invalid port in "99999" of the "listen" directive; ` +
		`write an address such as 8080, 127.0.0.1:8080, [::]:8080 or unix:/path
sites/b.conf:3: error: include "nginx.conf": the file includes itself; remove one of the two
sites/par.inc:1: error: invalid server name or wildcard "a..b"; a * may only be the whole first or the whole last label
`
	if diff := cmp.Diff(want, lines(problems)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

// TestCheckText proves that every text with variables reaches the caller's check,
// with all names, and that its verdict comes back at the text's own line.
func TestCheckText(t *testing.T) {
	opt := hermetic(nil)
	var names []string
	var texts []string
	opt.CheckText = func(known []string) func(string) error {
		names = known
		return func(text string) error {
			texts = append(texts, text)
			if strings.Contains(text, "$nosuch") {
				return errUnknown
			}
			return nil
		}
	}
	_, problems := config.LoadText("/etc/h/nginx.conf", `http {
log_format f '$remote_addr';
map $http_upgrade $up { default x; ~^(?<kind>w) $kind; }
server { listen 80; server_name ~^(?<sub>.+)\.test$;
  location ~ ^/(?<tail>.*) { proxy_set_header X $tail; proxy_pass http://127.0.0.1:1; }
  location / { return 200 $nosuch; }
  location /v { proxy_pass http://$sub; }
}}`, opt)
	if diff := cmp.Diff("nginx.conf:6: error: return: unknown variable \"nosuch\"\n", lines(problems)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"kind", "sub", "tail", "up"}, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	want := []string{"$remote_addr", "$http_upgrade", "$kind", "$tail", "$nosuch", "http://$sub"}
	if diff := cmp.Diff(want, texts); diff != "" {
		t.Errorf("texts (-want +got):\n%s", diff)
	}
}
