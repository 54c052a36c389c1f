package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/config"
)

// TestContentDefaults pins what holds where nothing is written.
func TestContentDefaults(t *testing.T) {
	set := mustLoad(t, inServer("")).HTTP.Servers[0].Settings
	want := config.FileSettings{
		Root:  config.Root{Path: "/var/lib/holdfast/html"},
		Index: []config.Text{{Text: "index.html"}},
		Types: &config.Types{ByEnding: map[string]string{"html": "text/html", "gif": "image/gif", "jpg": "image/jpeg"}},
		ETag:  true, Sendfile: true, LogNotFound: true, MaxRanges: -1,
	}
	if diff := cmp.Diff(want, set.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	p := set.Proxy
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"max_headers", set.MaxHeaders, 200},
		{"client_body_buffer_size", set.ClientBodyBufferSize, int64(16 << 10)},
		{"proxy_buffers", p.BuffersSize, int64(64 << 10)},
		{"buffering, request buffering, strict, frames",
			[]bool{p.Buffering, p.RequestBuffering, set.WebsocketStrict, set.TunnelFrames}, []bool{true, true, true, true}},
		{"the others", []bool{p.PassTrailers, p.InterceptErrors, set.RecursiveErrorPages, set.ResetTimedout},
			[]bool{false, false, false, true}},
		{"keepalive_min_timeout", set.KeepaliveMinTimeout, time.Duration(0)},
		{"server_tokens", set.ServerTokens, config.TokensOff},
		{"lists", len(set.ErrorPages) + len(set.AddHeaders) + len(set.EarlyHints), 0},
		{"expires", set.Expires == nil, true},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, diff)
		}
	}
}

// TestContentInheritance proves that a level with any of a list inherits none of it,
// and that single values pass inwards.
func TestContentInheritance(t *testing.T) {
	cfg := mustLoad(t, `
http {
  types { text/html html HTM; } types { a/b c; }
  index a; index b /c;
  root data;
  error_page 404 /404; error_page 500 502 =503 /5xx;
  add_header X-H 1 always; add_header X-I 2; expires 1h;
  server_tokens on; max_ranges 3; etag off; sendfile off; log_not_found off; if_modified_since BEFORE;
  early_hints $http_a; early_hints $http_b c;
  max_headers 7; websocket_strict off; tunnel_frames off; reset_timedout_connection on; keepalive_min_timeout 2s;
  client_body_buffer_size 8k; proxy_buffers 4 4k; proxy_buffering off; proxy_request_buffering off;
  proxy_pass_trailers on; proxy_intercept_errors on; recursive_error_pages on; proxy_max_temp_file_size 0;
  server {
    listen 80;
    try_files $uri /last;
    location /in/ { }
    location /own/ {
      alias files/; index d; types { } error_page 403 494 @n; add_header Y 1; server_tokens "edge 1"; early_hints 0;
      max_ranges 0; try_files $uri $uri/ =404; internal;
      location /own/inner/ { expires modified -5; server_tokens BUILD; }
    }
    location ~ ^/r/(.*) { alias /r/$1; autoindex off; disable_symlinks off; }
    location @n { return 204; root /n/; }
  }
}`)
	server := cfg.HTTP.Servers[0]
	in, own, regex, named := server.Locations[0], server.Locations[1], server.Locations[2], server.Named[0]
	inner := own.Nested[0]
	root := func(l *config.Location) []any {
		r := l.Settings.Files.Root
		return []any{r.Path, r.Alias, r.Modifier, r.Pattern}
	}
	texts := func(list []config.Text) (s string) {
		for _, text := range list {
			s += text.Text + " "
		}
		return s
	}
	pages := func(l *config.Location) (list []any) {
		for _, p := range l.Settings.ErrorPages {
			list = append(list, p.Statuses, p.Overwrite, p.Target)
		}
		return list
	}
	headers := func(l *config.Location) (s string) {
		for _, h := range l.Settings.AddHeaders {
			s += h.Name + " " + h.Value + " "
			if h.Always {
				s += "always "
			}
		}
		return s
	}
	set, proxy := &in.Settings, &in.Settings.Proxy
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"root", root(in), []any{"/var/lib/holdfast/data", false, config.Prefix, ""}},
		{"alias", root(own), []any{"/var/lib/holdfast/files/", true, config.Prefix, "/own/"}},
		{"alias inherited with its location", root(inner), root(own)},
		{"alias of a regex", root(regex), []any{"/r/$1", true, config.Regex, "^/r/(.*)"}},
		{"root of a name", root(named), []any{"/n", false, config.Prefix, ""}},
		{"index", texts(set.Files.Index), "a b /c "},
		{"own index", texts(inner.Settings.Files.Index), "d "},
		{"types", set.Files.Types.ByEnding, map[string]string{"html": "text/html", "htm": "text/html", "c": "a/b"}},
		{"no types", inner.Settings.Files.Types.ByEnding, map[string]string{}},
		{"error pages", pages(in), []any{[]int{404}, config.KeepStatus, "/404", []int{500, 502}, 503, "/5xx"}},
		{"own error pages", pages(inner), []any{[]int{403}, config.KeepStatus, "@n", []int{494}, 400, "@n"}},
		{"headers", headers(in), "X-H 1 always X-I 2 "},
		{"own headers", headers(inner), "Y 1 "},
		{"expires beside own headers", own.Settings.Expires.Text, "1h"},
		{"own expires", []any{inner.Settings.Expires.Text, inner.Settings.Expires.Modified}, []any{"-5", true}},
		{"tokens", set.ServerTokens, config.TokensOn},
		{"own tokens", []any{own.Settings.ServerTokens, own.Settings.ServerName}, []any{config.TokensText, "edge 1"}},
		{"inner tokens", []any{inner.Settings.ServerTokens, inner.Settings.ServerName}, []any{config.TokensBuild, ""}},
		{"hints", texts(set.EarlyHints), "$http_a $http_b c "},
		{"own hints", texts(inner.Settings.EarlyHints), "0 "},
		{"ranges", []int{set.Files.MaxRanges, inner.Settings.Files.MaxRanges}, []int{3, 0}},
		{"off", []bool{set.Files.ETag, set.Files.Sendfile, set.Files.LogNotFound, set.WebsocketStrict, set.TunnelFrames, proxy.Buffering,
			proxy.RequestBuffering}, []bool{false, false, false, false, false, false, false}},
		{"on", []bool{proxy.PassTrailers, proxy.InterceptErrors, set.RecursiveErrorPages, set.ResetTimedout},
			[]bool{true, true, true, true}},
		{"times", []any{set.Files.IfModifiedSince, set.KeepaliveMinTimeout}, []any{config.IfModifiedBefore, 2 * time.Second}},
		{"sizes", []any{set.MaxHeaders, set.ClientBodyBufferSize, proxy.BuffersSize}, []any{7, int64(8 << 10), int64(16 << 10)}},
		{"try_files of the server", []any{server.TryFiles.Files, server.TryFiles.Last}, []any{[]string{"$uri"}, "/last"}},
		{"try_files is not inherited", []bool{in.TryFiles == nil, inner.TryFiles == nil}, []bool{true, true}},
		{"try_files", []any{own.TryFiles.Files, own.TryFiles.Last}, []any{[]string{"$uri", "$uri/"}, "=404"}},
		{"internal is not inherited", []bool{own.Internal, inner.Internal}, []bool{true, false}},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.what, diff)
		}
	}
}

// TestContentBadForms refuses, once and at its line, what no level can mean.
func TestContentBadForms(t *testing.T) {
	for _, line := range []string{
		"client_body_buffer_size 8kb;", "client_body_buffer_size -1;", "proxy_buffers 1 8k;", "proxy_buffers 8 0;",
		"proxy_buffers 8;", "proxy_buffers x 8k;", "proxy_buffering maybe;", "proxy_request_buffering 1;",
		"proxy_max_temp_file_size x;", "max_headers 5;",
		"keepalive_min_timeout x;", "reset_timedout_connection yes;", "websocket_strict yes;", "proxy_pass_trailers yes;",
		"early_hints;", "error_page 404;", "error_page 404 x y;", "error_page 404 =200;", `error_page 404 "";`,
		"error_page 600 /x;", "error_page 404 $uri;", "error_page 404 =1 /x;", "error_page 404 =x /x;", "recursive_error_pages x;",
		"proxy_intercept_errors x;", "internal on;", "log_not_found x;", `root "";`, "root a b;", "index;", "types x { }",
		"default_type \"a\nb\";", "etag x;", "if_modified_since sometimes;", "max_ranges -1;", "sendfile x;", "autoindex on;",
		"disable_symlinks on;", "add_header A;", "add_header A b always x;", `add_header "" b;`, "add_header Connection close;",
		"add_header transfer-encoding chunked;", "expires;", "expires nope;", "expires 500ms;", `expires "";`, "expires @;",
		"expires @25h;", "expires modified max;", "expires modified off;", "expires x 1d;", "expires --1;",
		`server_tokens "";`, `server_tokens " x";`, `server_tokens "<b>";`, "server_tokens a b;", "add_trailer A b c;",
		"add_header_inherit merge;", "error_page 404 /a; root a; root b;", "expires off; expires max;",
	} {
		cfg, problems := config.LoadText("x", inServer("location / {\n"+line+"\n}"), hermetic(nil))
		if cfg != nil || len(problems) != 1 || problems[0].Line != 4 && !strings.Contains(line, "\n") {
			t.Errorf("%s: %v", line, problems)
		}
	}
	for _, line := range []string{"max_headers 0;", "max_headers 10001;", "max_headers x;", "internal;", "alias /x;"} {
		cfg, problems := config.LoadText("x", inHTTP(line), hermetic(nil))
		if cfg != nil || len(problems) != 1 || problems[0].Line != 2 {
			t.Errorf("%s: %v", line, problems)
		}
	}
	for _, line := range []string{
		"error_page 300 599 =200 /x?a=$uri;", "error_page 404 http://x.test/;", "error_page 404 $scheme://x/;", "error_page 401 403 = /x;",
		`server_tokens "My Edge/1";`, "expires $uri;", "expires @24h;", "expires +1d;", "expires epoch; add_header A \"\";",
		"expires modified $uri;", "index a /b;", "root $host;", "root data/$host/;", "client_body_buffer_size 0;",
		"client_body_buffer_size 128k;", "proxy_buffers 2 64k;", "max_ranges 0;", "autoindex OFF;",
		"try_files $uri =204;", "try_files /a$uri /b?c=$args;", "add_header Last-Modified \"\" always;", "types { a/b; }",
	} {
		mustLoad(t, inServer("location / {\n"+line+"\n}"))
	}
}

// TestRootAndPrefix proves what a relative folder is joined to.
func TestRootAndPrefix(t *testing.T) {
	for _, tc := range []struct{ prefix, path, want string }{
		{"/p", "a", "/p/a"}, {"/p", "a/", "/p/a"}, {"/", "a", "/a"}, {"/p", "/", "/"}, {"/p", "/a/", "/a"},
		{"/p", "$host/a", "$host/a"}, {"/p", "a/$host/../b", "/p/a/$host/../b"}, {"/p$q", "a", "a"},
	} {
		opt := hermetic(nil)
		opt.Prefix = tc.prefix
		cfg, problems := config.LoadText("x", inServer("root "+tc.path+";"), opt)
		if len(problems) > 0 {
			t.Errorf("%s: %v", tc.path, problems)
			continue
		}
		if got := cfg.HTTP.Servers[0].Settings.Files.Root.Path; got != tc.want {
			t.Errorf("root %s below %s: got %s, want %s", tc.path, tc.prefix, got, tc.want)
		}
	}
}
