package httpparse_test

import (
	"bytes"
	"strings"
	"testing"

	"holdfast/httpparse"
)

func TestNormalizePath(t *testing.T) {
	cases := []struct{ in, merged, unmerged string }{
		{"", "/", "/"},
		{"/", "/", "/"},
		{"/a/b", "/a/b", "/a/b"},
		{"/a//b///", "/a/b/", "/a//b///"},
		{"//", "/", "//"},
		{"/a/./b/.", "/a/b/", "/a/b/"},
		{"/a/../b", "/b", "/b"},
		{"/a/b/..", "/a/", "/a/"},
		{"/a/b/../", "/a/", "/a/"},
		{"/a//../b", "/b", "/a/b"},
		{"/.//..", "refused: path leaves the root", "/"},
		{"/...", "/...", "/..."},
		{"/..a/.b", "/..a/.b", "/..a/.b"},
		{"/a%2fb", "/a/b", "/a/b"},
		{"/a%2F%2e%2E/b", "/b", "/b"},
		{"/%41%7a%C3%a9", "/Az\xc3\xa9", "/Az\xc3\xa9"},
		{"/%2541", "/%41", "/%41"},
		{"/a%3fb%23c", "/a?b#c", "/a?b#c"},
		{"/.%3f/..", "/", "/"},
		{"/%0a%7f%20", "/\n\x7f ", "/\n\x7f "},
		{"/a+b", "/a+b", "/a+b"},
		{"/\xff\"<", "/\xff\"<", "/\xff\"<"},
	}
	for _, c := range cases {
		for _, merge := range []bool{true, false} {
			want := c.unmerged
			if merge {
				want = c.merged
			}
			out, err := httpparse.NormalizePath([]byte("kept"), atGuardPage(t, []byte(c.in)), merge)
			got := strings.TrimPrefix(string(out), "kept")
			if err != httpparse.OK {
				got += "refused: " + err.String()
			}
			if got != want || !bytes.HasPrefix(out, []byte("kept")) {
				t.Errorf("%q, merge %v: %q, want %q", c.in, merge, got, want)
			}
		}
	}
}

func TestNormalizePathRefused(t *testing.T) {
	cases := map[string]httpparse.Error{
		"/..": httpparse.ErrPathRoot, "/a/../..": httpparse.ErrPathRoot, "/%2e%2e/": httpparse.ErrPathRoot,
		"/./../a": httpparse.ErrPathRoot, "/a%2f..%2f..%2f": httpparse.ErrPathRoot,
		"/%": httpparse.ErrPathEscape, "/%4": httpparse.ErrPathEscape, "/%4g": httpparse.ErrPathEscape,
		"/%g4": httpparse.ErrPathEscape, "/%00": httpparse.ErrPathEscape, "/%%41": httpparse.ErrPathEscape,
		"a": httpparse.ErrPath, "%2fa": httpparse.ErrPath, "/a?b": httpparse.ErrPath, "/a#": httpparse.ErrPath,
		"/a b": httpparse.ErrPath, "/a\x00": httpparse.ErrPath, "/a\n": httpparse.ErrPath, "/\x7f": httpparse.ErrPath,
	}
	for in, want := range cases {
		out, err := httpparse.NormalizePath([]byte("kept"), []byte(in), true)
		if err != want || string(out) != "kept" {
			t.Errorf("%q: %q, %v, want %v", in, out, err, want)
		}
	}
}

func TestAppendEscapedPath(t *testing.T) {
	in := "/az09-._~!$&'()*+,;=:@[] \"#%<>?\\^`{|}\x00\x1f\x7f\x80\xff"
	want := "/az09-._~!$&'()*+,;=:@[]%20%22%23%25%3C%3E%3F%5C%5E%60%7B%7C%7D%00%1F%7F%80%FF"
	if got := string(httpparse.AppendEscapedPath([]byte("kept"), []byte(in))); got != "kept"+want {
		t.Errorf("\n got %s\nwant kept%s", got, want)
	}
}
