package engine

import "strings"

// proxySite is the configuration of TestProxyHeads, and proxyCases are its requests.
const proxySite = `server { listen unix:DIR/front; server_name main.org; root DIR/html; proxy_http_version 1.1;
		location /domain { proxy_pass http://unix:DIR/back; proxy_cookie_domain .old.com .new.com;
			proxy_cookie_domain ~\.?rx(\d+)\.com$ y$1.com; proxy_cookie_path /a/ /b/; proxy_cookie_path ~*^/Z(.*)$ /q$1; }
		location /domain/off { proxy_pass http://unix:DIR/back; proxy_cookie_domain off; proxy_cookie_path off; }
		location /flags { proxy_pass http://unix:DIR/back; proxy_cookie_flags one httponly secure samesite=strict;
			proxy_cookie_flags ~tw nosecure nohttponly nosamesite; proxy_cookie_flags three samesite=$arg_s;
			proxy_cookie_domain a b; }
		location /flags/off { proxy_pass http://unix:DIR/back; proxy_cookie_flags off; }
		location /one/ { proxy_pass http://unix:DIR/back:/two/; proxy_redirect http://x.com/ /y/;
			proxy_redirect ~^http://z(\d)\.com/(.*) http://$host/$1/$2; proxy_redirect ~*^http://CASE/ /c; proxy_redirect default; }
		location /two/ { proxy_pass http://unix:DIR/back:/two/; proxy_redirect http://x.com/ ""; proxy_redirect http://$http_a/ /w/;
			absolute_redirect off; }
		location /three/ { proxy_pass http://unix:DIR/back:/two/; proxy_redirect http://x.com/ /;
			port_in_redirect off; server_name_in_redirect on; }
		location /four/ { proxy_pass http://unix:DIR/back:/two/; proxy_redirect off; }
		location /five/ { return 301 /moved; }
		location /six/ { absolute_redirect off; return 301 /moved; }
		location /seven/ { server_name_in_redirect on; return 301 /moved; }
		location /accel { proxy_pass http://unix:DIR/back; }
		location /ignore { proxy_pass http://unix:DIR/back; proxy_ignore_headers x-accel-redirect X-Accel-Limit-Rate Vary; }
		location /in/ { internal; alias DIR/html/; }
		location /text/ { internal; return 200 "text $uri $args $upstream_http_x_foo"; }
		location /again/ { internal; proxy_pass http://unix:DIR/back; proxy_set_header X-Reply "Set-Cookie: b=2|Cache-Control: no"; }
		location @named { return 200 "named $request_method $uri"; }
		location /method { proxy_pass http://unix:DIR/back; proxy_method $arg_m; proxy_set_body "b=$arg_b"; }
		location /put { proxy_pass http://unix:DIR/back; proxy_method PUT; }
		location /nobody { proxy_pass http://unix:DIR/back; proxy_pass_request_body off; proxy_set_header Content-Length ""; }
		location /nofields { proxy_pass http://unix:DIR/back; proxy_pass_request_headers off; proxy_set_header X-Reply $http_x_reply;
			proxy_set_header X-Own own; }
		location /host { proxy_pass http://unix:DIR/back; proxy_set_header Host ""; proxy_set_header X-Gone ""; proxy_hide_header X-Secret;
			proxy_pass_header X-Accel-Expires; }
		location /trailer { proxy_pass http://unix:DIR/back; add_trailer X-T "v$status"; add_trailer X-E ""; }
		location /always { proxy_pass http://unix:DIR/back; add_trailer X-T "v$upstream_http_x_q" always; }
		location /unchunked { proxy_pass http://unix:DIR/back; chunked_transfer_encoding off; }
		location /gif { empty_gif; }
		location = /status { stub_status; } }`

var proxyCases = []proxyCase{
	{"GET", "/domain", "Set-Cookie: a=1; Domain=old.com; Path=/a/x", "",
		"200 / Set-Cookie: a=1; Domain=new.com; Path=/b/x / GET /domain []  / "},
	{"GET", "/domain", "Set-Cookie: a=1;domain=.old.com;  Path=/A/x ; Secure ;x= y", "",
		"200 / Set-Cookie: a=1; domain=.new.com; Path=/A/x; Secure; x=y / GET /domain []  / "},
	{"GET", "/domain", "Set-Cookie: a; Domain=old.com", "",
		"200 / Set-Cookie: a; Domain=old.com / GET /domain []  / "},
	{"GET", "/domain", "Set-Cookie: a=1; Domain=www.rx12.com; Path=/zED", "",
		"200 / Set-Cookie: a=1; Domain=y12.com; Path=/qED / GET /domain []  / "},
	{"GET", "/domain", "Set-Cookie: a=1; Domain= old.com", "",
		"200 / Set-Cookie: a=1; Domain=new.com / GET /domain []  / "},
	{"GET", "/domain", "Set-Cookie: a=1; Domain=.rx1.com; ;Foo", "",
		"200 / Set-Cookie: a=1; Domain=y1.com; ; Foo / GET /domain []  / "},
	{"GET", "/domain", "Set-Cookie:  a=1 ; Path = /a/ ; Domain=OLD.COM", "",
		"200 / Set-Cookie: a=1; Path=/b/; Domain=new.com / GET /domain []  / "},
	{"GET", "/domain", "Set-Cookie: a=1;; Domain=old.com;", "",
		"200 / Set-Cookie: a=1; ; Domain=new.com; / GET /domain []  / "},
	{"GET", "/domain", "Set-Cookie: a=1; Domain=\"old.com\"", "",
		"200 / Set-Cookie: a=1; Domain=\"old.com\" / GET /domain []  / "},
	{"GET", "/domain", "Set-Cookie: a=1; Domain=; Path=", "",
		"200 / Set-Cookie: a=1; Domain=; Path= / GET /domain []  / "},
	{"GET", "/domain", "Set-Cookie: a = 1 ; Domain=old.com; =x", "",
		"200 / Set-Cookie: a=1; Domain=new.com; =x / GET /domain []  / "},
	{"GET", "/domain", "Set-Cookie: a=1; Path==/a/b", "",
		"200 / Set-Cookie: a=1; Path==/a/b / GET /domain []  / "},
	{"GET", "/domain", "Set-Cookie: a=1; Path=/a/b; Path=/a/c", "",
		"200 / Set-Cookie: a=1; Path=/b/b; Path=/b/c / GET /domain []  / "},
	{"GET", "/domain/off", "Set-Cookie: a=1; Domain=old.com; Path=/a/x", "",
		"200 / Set-Cookie: a=1; Domain=old.com; Path=/a/x / GET /domain/off []  / "},
	{"GET", "/flags?s=lax", "Set-Cookie: one=1", "",
		"200 / Set-Cookie: one=1; Secure; HttpOnly; SameSite=Strict / GET /flags?s=lax []  / "},
	{"GET", "/flags?s=lax", "Set-Cookie: ONE=1; secure; SameSite=None; Path=/", "",
		"200 / Set-Cookie: ONE=1; secure; SameSite=Strict; Path=/; HttpOnly / GET /flags?s=lax []  / "},
	{"GET", "/flags?s=lax", "Set-Cookie: one=1; HTTPONLY; samesite=Strict", "",
		"200 / Set-Cookie: one=1; HTTPONLY; samesite=Strict; Secure / GET /flags?s=lax []  / "},
	{"GET", "/flags?s=lax", "Set-Cookie: two=1; Secure; HttpOnly; SameSite=Lax; Path=/", "",
		"200 / Set-Cookie: two=1; Path=/ / GET /flags?s=lax []  / "},
	{"GET", "/flags?s=lax", "Set-Cookie: atwo=1; Secure", "",
		"200 / Set-Cookie: atwo=1 / GET /flags?s=lax []  / "},
	{"GET", "/flags?s=lax", "Set-Cookie: three=1; SameSite; Path=/", "",
		"200 / Set-Cookie: three=1; SameSite=Lax; Path=/ / GET /flags?s=lax []  / "},
	{"GET", "/flags?s=lax", "Set-Cookie: three=1; SameSite=; Path=/", "",
		"200 / Set-Cookie: three=1; SameSite=Lax; Path=/ / GET /flags?s=lax []  / "},
	{"GET", "/flags?s=lax", "Set-Cookie: three=1;  Path=/;samesite=LAX", "",
		"200 / Set-Cookie: three=1; Path=/; samesite=LAX / GET /flags?s=lax []  / "},
	{"GET", "/flags?s=lax", "Set-Cookie: four=1; Secure", "",
		"200 / Set-Cookie: four=1; Secure / GET /flags?s=lax []  / "},
	{"GET", "/flags?s=lax", "Set-Cookie: one", "",
		"200 / Set-Cookie: one / GET /flags?s=lax []  / "},
	{"GET", "/flags?s=lax", "Set-Cookie: one=2; Domain=a;SameSite=Strict; SameSite=None", "",
		"200 / Set-Cookie: one=2; Domain=b; SameSite=Strict; SameSite=None; Secure; HttpOnly / GET /flags?s=lax []  / "},
	{"GET", "/flags?s=lax", "Set-Cookie: two=1;secure=1; httponly=q", "",
		"200 / Set-Cookie: two=1 / GET /flags?s=lax []  / "},
	{"GET", "/flags?s=none", "Set-Cookie: three=3", "",
		"200 / Set-Cookie: three=3; SameSite=None / GET /flags?s=none []  / "},
	{"GET", "/flags", "Set-Cookie: three=3; Secure", "",
		"200 / Set-Cookie: three=3; Secure / GET /flags []  / "},
	{"GET", "/flags/off", "Set-Cookie: one=1", "",
		"200 / Set-Cookie: one=1 / GET /flags/off []  / "},
	{"GET", "/one/", "Location: http://x.com/p", "",
		"200 / Location: http://front.test/y/p / GET /two/ []  / "},
	{"GET", "/two/", "Location: http://x.com/p", "",
		"200 / Location: p / GET /two/ []  / "},
	{"GET", "/three/", "Location: http://x.com/p", "",
		"200 / Location: http://main.org/p / GET /two/ []  / "},
	{"GET", "/four/", "Location: http://x.com/p", "",
		"200 / Location: http://x.com/p / GET /two/ []  / "},
	{"GET", "/one/", "Location: http://z5.com/p?q", "",
		"200 / Location: http://front.test/5/p?q / GET /two/ []  / "},
	{"GET", "/one/", "Location: http://case/p", "",
		"200 / Location: http://front.test/c / GET /two/ []  / "},
	{"GET", "/one/", "Location: http://unix:DIR/back:/two/k", "",
		"200 / Location: http://front.test/one/k / GET /two/ []  / "},
	{"GET", "/two/", "Location: http://unix:DIR/back:/two/k", "",
		"200 / Location: http://unix:DIR/back:/two/k / GET /two/ []  / "},
	{"GET", "/three/", "Location: http://unix:DIR/back:/two/k", "",
		"200 / Location: http://unix:DIR/back:/two/k / GET /two/ []  / "},
	{"GET", "/four/", "Location: http://unix:DIR/back:/two/k", "",
		"200 / Location: http://unix:DIR/back:/two/k / GET /two/ []  / "},
	{"GET", "/one/", "Location: /rel", "",
		"200 / Location: /rel / GET /two/ []  / "},
	{"GET", "/one/", "Refresh: 5; URL=http://x.com/p", "",
		"200 / Refresh: 5; URL=/y/p / GET /two/ []  / "},
	{"GET", "/two/", "Refresh: 5; URL=http://x.com/p", "",
		"200 / Refresh: 5; URL=p / GET /two/ []  / "},
	{"GET", "/three/", "Refresh: 5; URL=http://x.com/p", "",
		"200 / Refresh: 5; URL=/p / GET /two/ []  / "},
	{"GET", "/four/", "Refresh: 5; URL=http://x.com/p", "",
		"200 / Refresh: 5; URL=http://x.com/p / GET /two/ []  / "},
	{"GET", "/one/", "Refresh: 7; u=http://x.com/p", "",
		"200 / Refresh: 7; u=http://x.com/p / GET /two/ []  / "},
	{"GET", "/one/", "Location: HTTP://X.COM/p", "",
		"200 / Location: HTTP://X.COM/p / GET /two/ []  / "},
	{"GET", "/five/", "", "",
		"301 / Content-Type: text/html|Location: http://front.test/moved / PAGE / "},
	{"GET", "/six/", "", "",
		"301 / Content-Type: text/html|Location: /moved / PAGE / "},
	{"GET", "/seven/", "", "",
		"301 / Content-Type: text/html|Location: http://main.org/moved / PAGE / "},
	{"GET", "/accel", "X-Accel-Redirect: /in/page", "",
		"200 / Accept-Ranges: bytes|Content-Type: text/plain / page / "},
	{"GET", "/accel", "X-Accel-Redirect: /text/a%20b?x=%20y|X-Foo: foo|Set-Cookie: a=1|Cache-Control: max-age=5" +
		"|Expires: 0|Content-Type: foo/bar|Content-Disposition: att|Accept-Ranges: none|Vary: q", "",
		"200 / Accept-Ranges: none|Cache-Control: max-age=5|Content-Disposition: att|Content-Type: foo/bar" +
			"|Expires: 0|Set-Cookie: a=1 / text /text/a b x=%20y foo / "},
	{"GET", "/accel", "X-Accel-Redirect: /in/page|Set-Cookie: a=1|Set-Cookie: b=1|Content-Type: foo/bar|X-Foo: foo", "",
		"200 / Accept-Ranges: bytes|Content-Type: foo/bar|Set-Cookie: a=1|Set-Cookie: b=1 / page / "},
	{"GET", "/accel", "X-Accel-Redirect: @named", "",
		"200 / Content-Type: text/plain / named GET /accel / "},
	{"GET", "/accel", "X-Accel-Redirect: @none", "",
		"500 / Content-Type: text/html / PAGE / "},
	{"GET", "/accel", "X-Accel-Redirect: /text/../../x", "",
		"404 / Content-Type: text/html / PAGE / "},
	{"GET", "/accel", "X-Accel-Redirect: http://foo/", "",
		"404 / Content-Type: text/html / PAGE / "},
	{"GET", "/accel", "X-Accel-Redirect: text/x", "",
		"404 / Content-Type: text/html / PAGE / "},
	{"GET", "/accel", "X-Accel-Redirect: /text/%00", "",
		"404 / Content-Type: text/html / PAGE / "},
	{"GET", "/accel", "X-Accel-Redirect: ", "",
		"404 / Content-Type: text/html / PAGE / "},
	{"GET", "/accel", "X-Accel-Redirect: /again/x|X-Foo: foo|Set-Cookie: a=1|Cache-Control: max-age=5|Content-Type: q/q", "",
		"200 / Cache-Control: max-age=5|Cache-Control: no|Content-Type: q/q|Set-Cookie: a=1|Set-Cookie: b=2 / GET /again/x []  / "},
	{"GET", "/accel", "X-Accel-Redirect: /in/none|Set-Cookie: a=1|Content-Type: q/q", "",
		"404 / Content-Type: text/html|Set-Cookie: a=1 / PAGE / "},
	{"GET", "/accel", "X-Accel-Redirect: /text/a/../b", "",
		"404 / Content-Type: text/html / PAGE / "},
	{"GET", "/accel", "X-Accel-Redirect: /text/a#b?c", "",
		"200 / Content-Type: text/plain / text /text/a#b c  / "},
	{"GET", "/accel", "X-Accel-Redirect: /text/a%3fb", "",
		"200 / Content-Type: text/plain / text /text/a?b   / "},
	{"GET", "/accel", "X-Accel-Redirect: /text/%zz", "",
		"200 / Content-Type: text/plain / text /text/zz   / "},
	{"GET", "/accel", "X-Accel-Redirect: /text/%4", "",
		"200 / Content-Type: text/plain / text /text/   / "},
	{"GET", "/accel", "X-Accel-Redirect: /text//x/./y%2e%2e/b", "",
		"200 / Content-Type: text/plain / text /text//x/./y../b   / "},
	{"GET", "/accel", "X-Accel-Redirect: /text/x/%2e%2e", "",
		"404 / Content-Type: text/html / PAGE / "},
	{"GET", "/accel", "X-Accel-Redirect: /text/x|X-Accel-Limit-Rate: 100000", "",
		"200 / Content-Type: text/plain / text /text/x   / "},
	{"HEAD", "/accel", "X-Accel-Redirect: @named", "",
		"200 / Content-Type: text/plain /  / "},
	{"POST", "/accel", "X-Accel-Redirect: @named", "abc",
		"200 / Content-Type: text/plain / named POST /accel / "},
	{"POST", "/accel", "X-Accel-Redirect: /text/z", "abc",
		"200 / Content-Type: text/plain / text /text/z   / "},
	{"GET", "/accel", "!404|X-Accel-Redirect: /text/a", "",
		"200 / Content-Type: text/plain / text /text/a   / "},
	{"GET", "/ignore", "X-Accel-Redirect: /text/a|X-Accel-Limit-Rate: 1", "",
		"200 /  / GET /ignore []  / "},
	{"GET", "/method?m=PUT&b=7", "", "",
		"200 /  / PUT /method?m=PUT&b=7 [] b=7 / "},
	{"POST", "/method?m=PUT&b=7", "", "abc",
		"200 /  / PUT /method?m=PUT&b=7 [] b=7 / "},
	{"POST", "/method?m=PUT", "", strings.Repeat("x", 100_000),
		"200 /  / PUT /method?m=PUT [] b= / "},
	{"POST", "/put", "", "abc",
		"200 /  / PUT /put [] abc / "},
	{"HEAD", "/put", "", "",
		"200 /  /  / "},
	{"HEAD", "/method?m=GET", "", "",
		"200 /  /  / "},
	{"POST", "/nobody", "", "abc",
		"200 /  / POST /nobody []  / "},
	{"GET", "/nobody", "", "",
		"200 /  / GET /nobody []  / "},
	{"GET", "/nofields", "", "",
		"200 /  / GET /nofields [X-Own: own]  / "},
	{"POST", "/nofields", "", "abc",
		"200 /  / POST /nofields [X-Own: own] abc / "},
	{"GET", "/host", "X-Secret: 1|X-Accel-Expires: 5|X-Accel-Charset: u", "",
		"200 / X-Accel-Expires: 5 / GET /host []  / "},
	{"GET", "/trailer", "", "",
		"200 /  / GET /trailer []  / X-T: v200"},
	{"GET", "/trailer", "!404", "",
		"404 /  / GET /trailer []  / "},
	{"HEAD", "/trailer", "", "",
		"200 /  /  / "},
	{"GET", "/always", "!404|X-Q: 1", "",
		"404 / X-Q: 1 / GET /always []  / X-T: v1"},
	{"GET", "/unchunked", "~|X-Open: 1", "",
		"200 / X-Open: 1 / GET /unchunked []  / "},
	{"GET", "/gif", "", "",
		"200 / Content-Type: image/gif / 47494638396101000100800100000000ffffff21f90401000001002c00000000010001000002024c01003b / "},
	{"POST", "/gif", "", "",
		"405 / Content-Type: text/html / PAGE / "},
	{"POST", "/status", "", "",
		"405 / Content-Type: text/html / PAGE / "},
}
