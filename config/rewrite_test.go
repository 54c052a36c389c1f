package config_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"holdfast/config"
)

// The directives of the rewrite module keep the order of the file, also around blocks.
func TestRewriteKeepsTheOrder(t *testing.T) {
	cfg := mustLoad(t, inServer(`set $a 1;
if ($a) { set $b 2; break; }
rewrite ^/x(.*)$ /y$1? last;
location /l {
  if (-f $request_filename) { root /srv; proxy_pass http://127.0.0.1:1; return 204; }
  set $c "$a b";
  if ($c = "x y") { rewrite (?<n>.) http://h/ permanent; }
  return 200 $c;
}`))
	server := cfg.HTTP.Servers[0]
	type step = config.RewriteStep
	ignore := cmp.Options{cmpopts.IgnoreTypes(config.Position{}), cmpopts.IgnoreUnexported(step{}),
		cmpopts.IgnoreFields(config.If{}, "Location")}
	want := []step{
		{Set: &config.SetVariable{Name: "a", Value: "1"}},
		{If: &config.If{
			Condition: config.Condition{Variable: "a"},
			Steps:     []step{{Set: &config.SetVariable{Name: "b", Value: "2"}}, {}},
		}},
		{Rewrite: &config.RewriteRule{
			Pattern: "^/x(.*)$", Regexp: "^/x(.*)$", Replacement: "/y$1?", Flag: config.RewriteLast,
		}},
	}
	if diff := cmp.Diff(want, server.Rewrite, ignore); diff != "" {
		t.Errorf("server (-want +got):\n%s", diff)
	}
	want = []step{
		{If: &config.If{
			Condition: config.Condition{Kind: config.ConditionFile, Value: "$request_filename"},
			Steps:     []step{{Return: &config.Return{Code: 204}}},
		}},
		{Set: &config.SetVariable{Name: "c", Value: "$a b"}},
		{If: &config.If{
			Condition: config.Condition{Kind: config.ConditionEquals, Variable: "c", Value: "x y"},
			Steps: []step{{Rewrite: &config.RewriteRule{
				Pattern: "(?<n>.)", Regexp: "(?<n>.)", Replacement: "http://h/", Flag: config.RewritePermanent,
			}}},
		}},
		{Return: &config.Return{Code: 200, Text: "$c", HasText: true}},
	}
	loc := server.Locations[0]
	if diff := cmp.Diff(want, loc.Rewrite, ignore); diff != "" {
		t.Errorf("location (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, cfg.HTTP.SetNames); diff != "" {
		t.Errorf("names of variables (-want +got):\n%s", diff)
	}
	if inner := loc.Inner(); len(inner) != 2 || inner[0].ProxyPass == nil || inner[0].Settings.Files.Root.Path != "/srv" ||
		inner[1].ProxyPass != nil || inner[1].Pattern != "/l" {
		t.Errorf("locations of the blocks: %+v", inner)
	}
}

// An if in a location inherits all of it, wherever in the file the location says it.
func TestIfInherits(t *testing.T) {
	cfg := mustLoad(t, inServer(`location /l {
  if ($arg_a) { add_header A b; limit_rate 1k; }
  proxy_pass http://127.0.0.1:1/x/; error_page 404 /e; client_max_body_size 7m; try_files $uri /y;
  add_header C d;
}`))
	loc := cfg.HTTP.Servers[0].Locations[0]
	inner := loc.Rewrite[0].If.Location
	set := &inner.Settings
	if inner.ProxyPass != loc.ProxyPass || len(set.ErrorPages) != 1 || set.ClientMaxBodySize != 7<<20 {
		t.Errorf("not inherited: %+v", inner)
	}
	if len(set.AddHeaders) != 1 || set.AddHeaders[0].Name != "A" || inner.TryFiles != nil {
		t.Errorf("inherited: add_header %+v, try_files %+v", set.AddHeaders, inner.TryFiles)
	}
}

func TestConditions(t *testing.T) {
	for text, want := range map[string]config.Condition{
		`($a)`:             {Variable: "a"},
		`( $a )`:           {Variable: "a"},
		`($a = b)`:         {Kind: config.ConditionEquals, Variable: "a", Value: "b"},
		`($a = "b c")`:     {Kind: config.ConditionEquals, Variable: "a", Value: "b c"},
		`($a = "")`:        {Kind: config.ConditionEquals, Variable: "a"},
		`( $a = 'b' )`:     {Kind: config.ConditionEquals, Variable: "a", Value: "b"},
		`($a != $b)`:       {Kind: config.ConditionEquals, Not: true, Variable: "a", Value: "$b"},
		`($a ~ ^x(y|z)$)`:  {Kind: config.ConditionMatches, Variable: "a", Value: "^x(y|z)$", Regexp: "^x(y|z)$"},
		`($a ~* "x{2} y")`: {Kind: config.ConditionMatches, Variable: "a", Value: "x{2} y", Regexp: "(?i)x{2} y"},
		`($a !~ x)`:        {Kind: config.ConditionMatches, Not: true, Variable: "a", Value: "x", Regexp: "x"},
		`($a !~* x)`:       {Kind: config.ConditionMatches, Not: true, Variable: "a", Value: "x", Regexp: "(?i)x"},
		`(-f /x)`:          {Kind: config.ConditionFile, Value: "/x"},
		`(!-f "$a/x y")`:   {Kind: config.ConditionFile, Not: true, Value: "$a/x y"},
		`(-d $a)`:          {Kind: config.ConditionDirectory, Value: "$a"},
		`(!-e $a)`:         {Kind: config.ConditionExists, Not: true, Value: "$a"},
		`( !-x $a )`:       {Kind: config.ConditionExecutable, Not: true, Value: "$a"},
	} {
		cfg := mustLoad(t, inServer("set $a 1; set $b 1; location / { if "+text+"{ return 204; } }"))
		if diff := cmp.Diff(want, cfg.HTTP.Servers[0].Locations[0].Rewrite[0].If.Condition); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestRewriteProblems(t *testing.T) {
	const hint = "; write ($variable), ($variable = value), ($variable ~ regex) or (-f path)"
	const re2 = "write it without; regular expressions are those of RE2, which match in linear time"
	for conf, want := range map[string]string{
		`rewrite /a "";`:       `error: empty replacement in "rewrite"; write: rewrite REGEX REPLACEMENT;`,
		`rewrite /a /b first;`: `error: invalid parameter "first" in "rewrite"; write last, break, redirect or permanent`,
		`rewrite /a;`: "" +
			`error: invalid number of arguments in "rewrite" directive; write: rewrite regex replacement [last | break | redirect | permanent];`,
		`rewrite (?!a) /b;`:           `error: regex "(?!a)" uses negative lookahead, which is not supported; ` + re2,
		`set a b;`:                    `error: invalid variable name "a"; write: set $NAME VALUE;`,
		`set $1 b;`:                   `error: invalid variable name "$1"; write: set $NAME VALUE;`,
		`set $a-b c;`:                 `error: invalid variable name "$a-b"; write: set $NAME VALUE;`,
		`if $a { }`:                   `error: invalid condition "$a"` + hint,
		`if ($uri { }`:                `error: condition without an end: "($uri"; write ")" behind it`,
		`if ($uri = ) { }`:            `error: invalid condition "$uri"` + hint,
		`if ($uri = a b) { }`:         `error: invalid condition "$uri"` + hint,
		`if ($uri == a) { }`:          `error: unexpected "==" in condition; write =, !=, ~, ~*, !~ or !~*`,
		`if (a = b) { }`:              `error: invalid condition "a"` + hint,
		`if ($1) { }`:                 `error: unknown "1" variable in condition; name the group in the regex: (?<name>...), or copy it with set`,
		`if (-z /a) { }`:              `error: invalid condition "-z"` + hint,
		`if (-f) { }`:                 `error: invalid condition "-f"` + hint,
		`if () { }`:                   `error: invalid condition ""` + hint,
		`if ($uri ~ "(?=a)") { }`:     `error: regex "(?=a)" uses lookahead, which is not supported; ` + re2,
		`if ($uri) { if ($uri) { } }`: `error: "if" directive is not allowed here; its place is: server, location`,
		`if ($uri) { root /x; }`:      `error: "root" directive is not allowed here; its place is: http, server, location, if in location`,
		`location / { if ($uri) { proxy_set_header A b; } }`: "" +
			`error: "proxy_set_header" directive is not allowed here; its place is: http, server, location`,
		`location / { if ($uri) { proxy_pass http://127.0.0.1:1/x; } }`: `error: "proxy_pass" cannot have URI part inside "if" statement; write it without /x`,
		`location / { if ($uri) { error_page 404 @x; } }`: "" +
			`error: error_page: there is no location "@x" in the server at /etc/h/nginx.conf:2; add: location @x { ... }`,
		`break 1;`:                   `error: invalid number of arguments in "break" directive; write: break;`,
		`if ($uri) { return 1000; }`: `error: invalid return code "1000"; write: return CODE;, return CODE TEXT; or return URL;`,
	} {
		_, problems := config.LoadText("/etc/h/nginx.conf", inServer(conf), hermetic(nil))
		var got []string
		for _, p := range problems {
			got = append(got, p.String())
		}
		if text := strings.Join(got, "\n"); text != "/etc/h/nginx.conf:3: "+want {
			t.Errorf("%s\n got %s\nwant %s", conf, text, want)
		}
	}
}
