package httpparse_test

import (
	"strings"
	"testing"

	"holdfast/httpparse"
)

func TestNextToken(t *testing.T) {
	cases := map[string]string{
		"":                     "",
		" , \t,, ":             "",
		"a":                    "a|",
		"a,b":                  "a|b|",
		" a\t,\t b c ,, d;e=f": "a|b c|d;e=f|",
		"a,":                   "a|",
	}
	for in, want := range cases {
		got := ""
		token, rest := httpparse.NextToken(atGuardPage(t, []byte(in)))
		for token != nil {
			got += string(token) + "|"
			token, rest = httpparse.NextToken(rest)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

func TestHasToken(t *testing.T) {
	cases := []struct {
		value, token string
		want         bool
	}{
		{"upgrade", "upgrade", true},
		{"Keep-Alive, UPGRADE", "upgrade", true},
		{"a,upgrade ,b", "upgrade", true},
		{"upgraded", "upgrade", false},
		{"not-upgrade", "upgrade", false},
		{"up grade", "upgrade", false},
		{"", "upgrade", false},
	}
	for _, c := range cases {
		if got := httpparse.HasToken([]byte(c.value), c.token); got != c.want {
			t.Errorf("%q has %q: %v", c.value, c.token, got)
		}
	}
}

func TestListsOverSeveralFields(t *testing.T) {
	r, buf := parsedRequest(t, "GET / HTTP/1.1\r\nConnection: a, X-Hop\r\nHost: h\r\n"+
		"Connection:\r\nconnection: close\r\n\r\n")
	var got []string
	for tokens := httpparse.ListTokens(buf, r.Fields, httpparse.FieldConnection); ; {
		token, ok := tokens.Next()
		if !ok {
			break
		}
		got = append(got, string(token))
	}
	if text := strings.Join(got, "|"); text != "a|X-Hop|close" {
		t.Errorf("tokens %s", text)
	}
	for name, want := range map[string]bool{"x-hop": true, "X-HOP": true, "Close": true, "h": false, "hop": false} {
		if httpparse.ConnectionLists(buf, r.Fields, []byte(name)) != want {
			t.Errorf("Connection lists %q: not %v", name, want)
		}
		if httpparse.ListHas(buf, r.Fields, httpparse.FieldConnection, strings.ToLower(name)) != want {
			t.Errorf("list has %q: not %v", name, want)
		}
	}
}

func TestEqualFold(t *testing.T) {
	const lower = "sec-websocket-extensions"
	for n := range len(lower) + 1 {
		for _, a := range []string{lower[:n], strings.ToUpper(lower[:n])} {
			if !httpparse.EqualFold(atGuardPage(t, []byte(a)), lower[:n]) {
				t.Errorf("%q differs from %q", a, lower[:n])
			}
			if n < len(lower) && httpparse.EqualFold([]byte(a), lower[:n+1]) {
				t.Errorf("%q equals %q", a, lower[:n+1])
			}
			for i := range n {
				other := []byte(a)
				other[i] ^= 0x80
				if httpparse.EqualFold(other, lower[:n]) {
					t.Errorf("%q equals %q", other, lower[:n])
				}
			}
		}
	}
	// "@" and "`", "[" and "{" differ in the bit that letters of two cases differ in.
	for a, b := range map[string]string{"@": "`", "[": "{", "aaaaaaa@": "aaaaaaa`", "[aaaaaaa": "{aaaaaaa"} {
		if httpparse.EqualFold([]byte(a), b) {
			t.Errorf("%q equals %q", a, b)
		}
	}
}

func TestFieldIDOf(t *testing.T) {
	seen := map[string]httpparse.FieldID{}
	for i := 1; i < httpparse.FieldCount; i++ {
		id := httpparse.FieldID(i)
		name := id.Name()
		if first, ok := seen[name]; ok || name == "" || name != strings.ToLower(name) {
			t.Errorf("field %d is called %q as is %d", id, name, first)
		}
		seen[name] = id
		for _, text := range []string{name, strings.ToUpper(name), strings.ToUpper(name[:1]) + name[1:]} {
			if got := httpparse.FieldIDOf([]byte(text)); got != id {
				t.Errorf("%q: %d, want %d", text, got, id)
			}
		}
		for _, text := range []string{name[1:], name + "x", name[:len(name)-1] + "\x00", "\x00" + name[1:]} {
			if got := httpparse.FieldIDOf([]byte(text)); got != httpparse.FieldOther {
				t.Errorf("%q: %d, want none", text, got)
			}
		}
	}
	for _, text := range []string{"", "x", strings.Repeat("x", 100)} {
		if got := httpparse.FieldIDOf([]byte(text)); got != httpparse.FieldOther {
			t.Errorf("%q: %d", text, got)
		}
	}
	if name := httpparse.FieldID(httpparse.FieldCount).Name(); name != "" {
		t.Errorf("beyond the last: %q", name)
	}
}
