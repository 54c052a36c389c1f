package route_test

import (
	"testing"

	"holdfast/route"
)

// named is a table of servers on address 0, each with its first name as label, and
// the last one the default server if its names begin with "default".
func namedTable(t testing.TB, c *route.Compiler, servers [][]string) *route.Table {
	t.Helper()
	b := route.NewBuilder(c, 1)
	for _, list := range servers {
		def := list[0] == "default"
		if _, err := b.AddServer(&route.ServerSpec{
			Names: names(list...), Listens: []route.ListenUse{{Listen: 0, Default: def}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	return b.Table()
}

func TestServerNamePrecedence(t *testing.T) {
	c := newCompiler(`^(?<sub>[a-z]+)\.re\.test$`)
	table := namedTable(t, c, [][]string{
		{`~^(?<sub>[a-z]+)\.re\.test$`},
		{`~^x`},
		{"mail.*"},
		{"mail.sub.*"},
		{"*.example.org"},
		{"*.sub.example.org"},
		{"www.example.org"},
		{".dot.test"},
		{"default"},
		{""},
	})
	tests := []struct{ rule, host, want string }{
		{"exact before masks", "www.example.org", "www.example.org"},
		{"any case", "WWW.Example.ORG", "www.example.org"},
		{"trailing dot", "www.example.org.", "www.example.org"},
		{"*.x", "a.example.org", "*.example.org"},
		{"*.x at any depth", "a.b.c.example.org", "*.example.org"},
		{"longest *.x", "a.sub.example.org", "*.sub.example.org"},
		{"*.x does not match x", "example.org", "default"},
		{"x.*", "mail.anything.test", "mail.*"},
		{"longest x.*", "mail.sub.test", "mail.sub.*"},
		{"*.x before x.*", "mail.example.org", "*.example.org"},
		{"x.* before regex", "mail.re.test", "mail.*"},
		{"x.* needs something behind", "mail", "default"},
		{".x matches x", "dot.test", "dot.test"},
		{".x matches *.x", "a.b.dot.test", "dot.test"},
		{"regex", "foo.re.test", `~^(?<sub>[a-z]+)\.re\.test$`},
		{"first regex", "xoo.re.test", `~^(?<sub>[a-z]+)\.re\.test$`},
		{"second regex", "x9.re.test", "~^x"},
		{"default server", "other.test", "default"},
		{"no host", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.rule, func(t *testing.T) {
			e := newEnv(t, get("/"))
			if got := table.FindServer(0, []byte(tt.host), e).Name; got != tt.want {
				t.Errorf("%q: got %q, want %q", tt.host, got, tt.want)
			}
		})
	}
	e := newEnv(t, get("/"))
	e.Server = table.FindServer(0, []byte("Foo.RE.test"), e)
	if got := string(compile(t, c, "$sub/$1").Append(nil, e)); got != "foo/foo" {
		t.Errorf("captures of server_name: got %q", got)
	}
}

func TestFirstServerIsTheDefault(t *testing.T) {
	c := newCompiler()
	b := route.NewBuilder(c, 2)
	for _, s := range []route.ServerSpec{
		{Names: names("a"), Listens: []route.ListenUse{{Listen: 0}, {Listen: 1}}},
		{Names: names("b", "a"), Listens: []route.ListenUse{{Listen: 0}, {Listen: 1, Default: true}}},
	} {
		if _, err := b.AddServer(&s); err != nil {
			t.Fatal(err)
		}
	}
	table := b.Table()
	e := newEnv(t, get("/"))
	for listen, want := range []string{"a", "b"} {
		if got := table.FindServer(listen, []byte("unknown"), e).Name; got != want {
			t.Errorf("address %d: got %q, want %q", listen, got, want)
		}
		if got := table.FindServer(listen, []byte("a"), e).Name; got != "a" {
			t.Errorf("address %d: the first of two equal names must win, got %q", listen, got)
		}
	}
}
