package route_test

import (
	"strings"
	"testing"

	"holdfast/route"
)

func TestLocationChoice(t *testing.T) {
	tests := []struct {
		rule      string
		locations []loc
		want      map[string]string // target → location
	}{
		{
			rule:      "nothing matches",
			locations: []loc{{text: "/a/"}},
			want:      map[string]string{"/": "none", "/a": "none", "/b": "none"},
		},
		{
			rule:      "the longest prefix wins, in whatever order they stand",
			locations: []loc{{text: "/"}, {text: "/a/b/"}, {text: "/a/"}, {text: "/a/b/c"}},
			want: map[string]string{
				"/": "/", "/a": "/", "/a/": "/a/", "/a/x": "/a/", "/a/b": "/a/", "/a/b/": "/a/b/",
				"/a/b/c": "/a/b/c", "/a/b/cd": "/a/b/c", "/a/b/d": "/a/b/", "/a0": "/", "/A/": "/",
			},
		},
		{
			rule:      "an exact location goes before everything",
			locations: []loc{{text: "= /a"}, {text: "/a"}, {text: "~ ."}},
			want:      map[string]string{"/a": "= /a", "/a?x": "= /a", "/ab": "~ .", "/a/": "~ ."},
		},
		{
			rule:      "a regex goes before a prefix, the first one written wins",
			locations: []loc{{text: "/a/"}, {text: `~ \.php$`}, {text: "~ ^/a/x"}},
			want:      map[string]string{"/a/y": "/a/", "/a/x.php": `~ \.php$`, "/a/x": "~ ^/a/x"},
		},
		{
			rule:      "^~ keeps regexes out",
			locations: []loc{{text: "^~ /a/"}, {text: "/a/b/"}, {text: "~ ."}},
			want:      map[string]string{"/a/x": "^~ /a/", "/a/b/x": "~ .", "/": "~ ."},
		},
		{
			rule:      "~* ignores case",
			locations: []loc{{text: "/"}, {text: `~ \.png$`}, {text: `~* \.gif$`}},
			want:      map[string]string{"/x.PNG": "/", "/x.GIF": `~* \.gif$`, "/x.png": `~ \.png$`},
		},
		{
			rule: "nested locations are searched in the longest prefix",
			locations: []loc{
				{text: "/a/", nested: []loc{{text: "/a/b/"}, {text: `~ \.x$`}}},
				{text: `~ \.y$`}, {text: `~ \.x$`},
			},
			want: map[string]string{
				"/a/b/c": "/a/b/", "/a/q": "/a/", "/a/b/c.y": `~ \.y$`, "/a/b/c.x": `~ \.x$`, "/c": "none",
			},
		},
		{
			rule: "^~ of a nested location does not keep the outer regexes out",
			locations: []loc{
				{text: "/a/", nested: []loc{{text: "^~ /a/b/"}, {text: "~ n$"}}},
				{text: `~ o$`},
			},
			want: map[string]string{"/a/b/n": "^~ /a/b/", "/a/b/o": "~ o$", "/a/n": "~ n$"},
		},
		{
			rule: "nested locations of a regex",
			locations: []loc{
				{text: "~ ^/u/", nested: []loc{{text: "/u/v/"}, {text: "~ w$"}}},
			},
			want: map[string]string{"/u/x": "~ ^/u/", "/u/v/x": "/u/v/", "/u/w": "~ w$"},
		},
		{
			rule:      "a proxied location with a final slash redirects the name without it",
			locations: []loc{{text: "/p/", pass: "http://b"}, {text: "/q/"}, {text: "~ ^/[pq]$"}, {text: "/"}},
			want:      map[string]string{"/p": "redirect /p/", "/p?a": "redirect /p/", "/q": "~ ^/[pq]$", "/p/": "/p/"},
		},
		{
			rule:      "a location with the very name goes before the redirect",
			locations: []loc{{text: "/p/", pass: "http://b"}, {text: "/p"}, {text: "/q/", pass: "http://b"}, {text: "= /q"}},
			want:      map[string]string{"/p": "/p", "/q": "= /q", "/p/": "/p/", "/q/": "/q/"},
		},
		{
			rule:      "what sorts between a name and its redirect does not hide it",
			locations: []loc{{text: "/p/", pass: "http://b"}, {text: "/p!"}, {text: "/"}},
			want:      map[string]string{"/p": "redirect /p/", "/p!x": "/p!"},
		},
		{
			rule:      "the path is decoded and normalised before",
			locations: []loc{{text: "/a b/"}, {text: "/c/"}},
			want:      map[string]string{"/a%20b/": "/a b/", "/x/..//c/./d": "/c/", "/%63/": "/c/"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			c := newCompiler()
			s := server(t, c, specs(t, c, tt.locations, nil))
			for target, want := range tt.want {
				if got := locate(s, newEnv(t, get(target))); got != want {
					t.Errorf("%s: got %q, want %q", target, got, want)
				}
			}
		})
	}
}

func TestDuplicateLocation(t *testing.T) {
	for _, texts := range [][2]string{{"/a", "/a"}, {"/a", "^~ /a"}, {"= /a", "= /a"}, {"@a", "@a"}} {
		c := newCompiler()
		b := route.NewBuilder(c, 1)
		_, err := b.AddServer(&route.ServerSpec{Locations: specs(t, c, []loc{{text: texts[0]}, {text: texts[1]}}, nil)})
		if err == nil || !strings.Contains(err.Error(), "duplicate location") {
			t.Errorf("%q: got %v, want a duplicate location", texts, err)
		}
	}
}

func TestNamedLocation(t *testing.T) {
	c := newCompiler()
	s := server(t, c, specs(t, c, []loc{{text: "/"}, {text: "@back"}}, nil))
	if l := s.Named("@back"); l == nil || l.Name != "@back" {
		t.Errorf("@back: got %v", l)
	}
	if l := s.Named("@other"); l != nil {
		t.Errorf("@other: got %q", l.Name)
	}
	if got := locate(s, newEnv(t, get("/@back"))); got != "/" {
		t.Errorf("a named location was found by path: %q", got)
	}
}

func TestLocationCaptures(t *testing.T) {
	const pattern = `^/(?<user>[^/]+)/(.+)$`
	c := newCompiler(pattern)
	s := server(t, c, specs(t, c, []loc{{text: "~ " + pattern}}, nil))
	tmpl := compile(t, c, "$user|$1|$2|$3|${user}x")
	e := newEnv(t, get("/ann/x%20y"))
	locate(s, e)
	if got, want := string(tmpl.Append(nil, e)), "ann|ann|x y||annx"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	e.Reset()
	if got := string(tmpl.AppendLog(nil, e, route.EscapeDefault)); got != "-|-|-|-|-x" {
		t.Errorf("captures survived Reset: %q", got)
	}
}
