package route_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"holdfast/httpparse"
	"holdfast/route"
)

// headOf is an Env for a request head.
func headOf(t *testing.T, head string) *route.Env {
	t.Helper()
	e := &route.Env{Head: []byte(head), Req: &httpparse.Request{MaxFields: 100}}
	if whole, perr := e.Req.Parse(e.Head); !whole || perr != httpparse.OK {
		t.Fatalf("%q: %v", head, perr)
	}
	return e
}

func TestAppendCredentials(t *testing.T) {
	encode := base64.StdEncoding.EncodeToString
	for value, want := range map[string]string{
		"Basic " + encode([]byte("u:p")): "u:p", "bAsIc    " + encode([]byte("u:p:q")): "u:p:q", "Basic dTo": "u:",
		"Basic dTo=": "u:", "Basic " + encode([]byte("u\xff:\xff")): "u\xff:\xff", "Basic": "", "Basic ": "", "Bearer dTo=": "",
		"Basic " + encode([]byte(":p")): "", "Basic " + encode([]byte("up")): "", "Basic " + encode([]byte("u:\x00")): "",
		"Basic d": "", "Basic dTo=x": "", "Basic dT o": "", "Basic " + encode([]byte("a:"+strings.Repeat("x", 3000))): "a:" + strings.Repeat("x", 3000),
	} {
		for method, field := range map[string]string{"GET /": "Authorization", "CONNECT a:1": "Proxy-Authorization"} {
			e := headOf(t, method+" HTTP/1.1\r\nHost: a\r\n"+field+": "+value+"\r\n\r\n")
			got, ok := route.AppendCredentials([]byte("before "), e)
			if string(got) != "before "+want || ok != (want != "") {
				t.Errorf("%.60q: %q %v, want %q", value, got, ok, want)
			}
			user, _, _ := strings.Cut(want, ":")
			if got := route.AppendUser(nil, e); string(got) != user {
				t.Errorf("%.60q: user %q", value, got)
			}
		}
	}
	e := headOf(t, "GET / HTTP/1.1\r\nHost: a\r\nProxy-Authorization: Basic dTo=\r\n\r\n")
	if _, ok := route.AppendCredentials(nil, e); ok || e.CredentialsField() != 0 {
		t.Error("a request's credentials for a proxy are taken for us")
	}
	if _, ok := route.AppendCredentials(nil, &route.Env{}); ok {
		t.Error("credentials without a head")
	}
}

func TestAuthRealm(t *testing.T) {
	c := route.NewCompiler(route.Process{}, nil)
	if a, err := c.NewAuth("off", 3); a != nil || err != nil {
		t.Errorf("off: %v %v", a, err)
	}
	if _, err := c.NewAuth("$nosuch", 0); err == nil {
		t.Error("an unknown variable was taken")
	}
	for realm, want := range map[string]string{
		"all": `"all"`, "": `""`, `x", charset="UTF-8`: `"x", charset="UTF-8"`, "$arg_r": `"a\"b\\c"`, "<$arg_r>": `"<a\"b\\c>"`,
	} {
		a, err := c.NewAuth(realm, 7)
		if err != nil || a.Users != 7 {
			t.Fatal(a, err)
		}
		for method, field := range map[string]string{"GET": "WWW-Authenticate", "CONNECT": "Proxy-Authenticate"} {
			target := "/"
			if method == "CONNECT" {
				target = "a:1"
			}
			e := headOf(t, method+" "+target+" HTTP/1.1\r\nHost: a\r\n\r\n")
			e.Args = []byte("r=a\"b\\c\r\n\x7f")
			if a.Off(e) {
				t.Errorf("%q is off", realm)
			}
			a.Challenge(e)
			answer := string(route.AppendError(nil, e, 401, route.ReplyForm{}))
			if !strings.Contains(answer, "\r\n"+field+": Basic realm="+want+"\r\n") {
				t.Errorf("%q: answer %q", realm, answer)
			}
			e.Reset()
			if answer := string(route.AppendError(nil, e, 401, route.ReplyForm{})); strings.Contains(answer, "uthenticate") {
				t.Errorf("the next request is asked, too: %q", answer)
			}
		}
	}
	a, _ := c.NewAuth("$arg_r", 0)
	if e := (&route.Env{Args: []byte("r=off")}); !a.Off(e) {
		t.Error("a variable that says off does not")
	}
}
