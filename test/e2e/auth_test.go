package e2e_test

import (
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/test/proc"
)

// Hashes of "secret".
const (
	bcrypt5  = "$2y$05$vekK2RVO493ZTkhecUUsCulyi9AWtK1dABUOVweTHSLS5mxuTjXcm"
	bcrypt10 = "$2y$10$3rain8lIBV2h4zAD2rDSg.fPlxfzMu1wfxHSWxOwwg6Rt.fWWv1LS"
	apr1     = "$apr1$abcd$wdPjgnTArUvGHPa0JgcKo."
	sha512   = "$6$abcd$2xnokga/nDtRjwwaEJ4P2es2v4q8kfckDGncd4naCsE699Y0JnDNWStYgMPa.X.VcIxFM3oLKIRKkAYD33oqG."
)

const userLines = "# users\nplain:{PLAIN}secret:comment\nbcrypt:" + bcrypt5 + "\napr1:" + apr1 + "\nsha:" + sha512 +
	"\nplain:{PLAIN}second\nno colon\n"

// userFile writes a file of users that every user of the machine may read: nginx's do.
func userFile(t *testing.T, text string) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "holdfast-users-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "users")
	if err := os.Chmod(dir, 0o755); err != nil { //nolint:gosec // nginx's worker is another user
		t.Fatal(err)
	}
	writeUsers(t, path, text)
	return path
}

// writeUsers puts another file in the place of a file of users.
func writeUsers(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path+".next", []byte(text), 0o644); err != nil { //nolint:gosec // as above
		t.Fatal(err)
	}
	if err := os.Rename(path+".next", path); err != nil {
		t.Fatal(err)
	}
}

const guarded = `
map $http_upgrade $connection_upgrade { default upgrade; '' ""; }
server {
    listen 127.0.0.1:{{port:front}};
    auth_basic_user_file {{users}};
    proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
    proxy_set_header X-User $remote_user;
    location / { auth_basic "all of it"; proxy_pass http://{{backend}};
        location /open { auth_basic off; proxy_pass http://{{backend}}; }
        location /answered { return 200 "answered\n"; }
    }
    location /named { auth_basic "realm $arg_r"; proxy_pass http://{{backend}}; }
    location /maybe { auth_basic $arg_r; proxy_pass http://{{backend}}; }
    location /paged { auth_basic "paged"; error_page 401 /page401; proxy_pass http://{{backend}}; }
    location /tried { auth_basic "tried"; try_files /nothing @named; }
    location @named { auth_basic "named"; proxy_pass http://{{backend}}; }
    location = /page401 { return 200 "log in\n"; }
    location /nofile { auth_basic "nofile"; auth_basic_user_file {{users}}.none; proxy_pass http://{{backend}}; }
}
`

// basic is the field of credentials.
func basic(name, credentials string) string {
	return name + ": Basic " + base64.StdEncoding.EncodeToString([]byte(credentials)) + "\r\n"
}

// with puts a field into a head.
func with(field, request string) string {
	return strings.Replace(request, "\r\n\r\n", "\r\n"+field+"\r\n", 1)
}

// Who is asked, who gets through and what a refusal says is as with nginx.
func TestAuthBasic(t *testing.T) {
	b := proc.NewBackend(t, proc.Echo())
	spec := proc.Spec{HTTP: guarded, Vars: vars("backend", b.Addr, "users", userFile(t, userLines))}
	both(t, spec, func(t *testing.T, p *proc.Proxy) {
		for _, tc := range []struct {
			target, credentials string
			status              int
			realm               string
		}{
			{"/", "", 401, "all of it"}, {"/", "plain:secret", 200, ""}, {"/", "plain:Secret", 401, "all of it"},
			{"/", "plain:second", 401, "all of it"}, {"/", "plain:secret:comment", 401, "all of it"},
			{"/", "bcrypt:secret", 200, ""}, {"/", "bcrypt:secre", 401, "all of it"},
			{"/", "apr1:secret", 200, ""}, {"/", "apr1:", 401, "all of it"}, {"/", "sha:secret", 200, ""},
			{"/", "sha:x", 401, "all of it"}, {"/", "nobody:secret", 401, "all of it"}, {"/", "no colon", 401, "all of it"},
			{"/", ":secret", 401, "all of it"}, {"/", "# users:", 401, "all of it"},
			{"/open", "", 200, ""}, {"/open", "plain:wrong", 200, ""}, {"/answered", "", 200, ""},
			{"/named?r=x", "", 401, "realm x"}, {"/named?r=off", "", 401, "realm off"}, {"/maybe?r=off", "", 200, ""},
			{"/maybe?r=on", "", 401, "on"}, {"/paged", "", 401, "paged"}, {"/paged", "plain:secret", 200, ""},
			{"/tried", "", 401, "tried"}, {"/tried", "plain:secret", 200, ""},
			{"/nofile", "", 401, "nofile"}, {"/nofile", "plain:secret", 403, ""},
		} {
			c := proc.Dial(t, p.Front())
			for range 2 { // what was found right before needs no verdict
				request := get(tc.target)
				if tc.credentials != "" {
					request = with(basic("Authorization", tc.credentials), request)
				}
				c.Send(request)
				head := c.Head()
				body := c.Body(head)
				what := tc.target + " as " + tc.credentials
				equal(t, what, head.Status(), tc.status)
				realm := ""
				if tc.realm != "" {
					realm = `Basic realm="` + tc.realm + `"`
				}
				equal(t, what+": WWW-Authenticate", head.Get("WWW-Authenticate"), realm)
				if tc.target == "/paged" && tc.status == 401 {
					equal(t, "page", string(body), "log in\n")
				}
			}
			c.Close()
		}
		twice := proc.Dial(t, p.Front())
		twice.Send(with(basic("Authorization", "plain:secret"), with(basic("Authorization", "plain:secret"), get("/"))))
		twice.Body(twice.Response(400))
	})
}

// A tunnel is asked for like everything else.
func TestAuthBasicOfATunnel(t *testing.T) {
	b := proc.NewBackend(t, proc.Echo())
	spec := proc.Spec{HTTP: guarded, Vars: vars("backend", b.Addr, "users", userFile(t, userLines))}
	both(t, spec, func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		c.Send(shake("/ws"))
		c.Body(c.Response(401))
		c.Send(with(basic("Authorization", "bcrypt:secret"), shake("/ws")))
		c.Response(101)
		c.EchoText("let in")
		c.Close()
	})
}

// shake asks for a WebSocket.
func shake(target string) string {
	return with("Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", get(target))
}

// A password that was taken from the file is refused in a while, a new one taken at once.
func TestAuthFileChanges(t *testing.T) {
	b := proc.NewBackend(t, proc.Echo())
	path := userFile(t, "u:{PLAIN}old\n")
	p := holdfast(t, proc.Spec{HTTP: guarded, Vars: vars("backend", b.Addr, "users", path)})
	status := func(credentials string) int {
		c := proc.Dial(t, p.Front())
		defer c.Close()
		c.Send(with(basic("Authorization", credentials), get("/")))
		head := c.Head()
		c.Body(head)
		return head.Status()
	}
	equal(t, "old", status("u:old"), 200)
	writeUsers(t, path, "u:{PLAIN}new\n")
	for until := time.Now().Add(30 * time.Second); status("u:old") != 401; {
		if time.Now().After(until) {
			t.Fatal("the old password stays right")
		}
	}
	equal(t, "new", status("u:new"), 200)
}

// proxied asks for a password at CONNECT.
const proxied = `auth_basic "the proxy"; auth_basic_user_file {{users}}; tunnel_allow_private on;`

func TestConnectAsksForAPassword(t *testing.T) {
	b := serveRaw(t, echoRaw)
	p := connects(t, strings.ReplaceAll(proxied, "{{users}}", userFile(t, userLines)))
	for credentials, status := range map[string]int{
		"": 407, "plain:secret": 200, "plain:x": 407, "bcrypt:secret": 200, "nobody:secret": 407, "a\x00:b": 407,
		strings.Repeat("x", 2000) + ":" + strings.Repeat("x", 2000): 407,
	} {
		c := proc.Dial(t, p.Front())
		request := with(basic("Authorization", "plain:secret"), connect(b.addr)) // not for us
		if credentials != "" {
			request = with(basic("Proxy-Authorization", credentials), request)
		}
		c.Send(request)
		head := c.Response(status)
		if status == 200 {
			c.Send("through").Expect("through")
		} else {
			equal(t, "Proxy-Authenticate", head.Get("Proxy-Authenticate"), `Basic realm="the proxy"`)
			equal(t, "WWW-Authenticate", head.Get("WWW-Authenticate"), "")
			c.Body(head)
			c.ExpectEOF()
		}
		c.Close()
	}
}

// curl and Python log in at a proxy.
func TestConnectClientsWithAPassword(t *testing.T) {
	curl := program(t, "curl")
	plain := proc.NewBackend(t, proc.Echo())
	p := connects(t, strings.ReplaceAll(proxied, "{{users}}", userFile(t, userLines)))
	base := []string{"-q", "-sS", "--max-time", "60", "-p", "-x", "http://" + p.Front(), "-o", "/dev/null",
		"-w", "%{http_connect} %{http_code}\n"}
	url := "http://" + plain.Addr + "/"
	equal(t, "curl", run(t, curl, append(base, "--proxy-user", "bcrypt:secret", url)...), "200 200\n")
	equal(t, "curl asks first", run(t, curl, append(base, "--proxy-anyauth", "--proxy-user", "sha:secret", url)...), "200 200\n")
	out := run(t, "/bin/sh", "-c", curl+" -q -sS --max-time 60 -p -x http://"+p.Front()+" -U bcrypt:wrong "+url+" 2>&1; echo status $?")
	if !strings.Contains(out, "407") || !strings.Contains(out, "status 56") {
		t.Errorf("curl with a wrong password: %q", out)
	}
}

// Python's requests log in at a proxy for HTTPS.
func TestConnectByPythonWithAPassword(t *testing.T) {
	python := pythonWith(t, "requests")
	id := certify(t, "web.test")
	secure := serveRawAt(t, "127.0.0.1:0", id.server("web.test", "http/1.1"), func(c *proc.Raw) error {
		for {
			if _, err := c.Reader().Peek(1); err != nil {
				return gone(ended(err))
			}
			head := c.Head()
			c.Send("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nsecret\n")
			if c.Err() != nil || strings.EqualFold(head.Get("Connection"), "close") {
				return c.Err()
			}
		}
	})
	_, number, _ := net.SplitHostPort(secure.addr)
	names := serveNames(t, func(name string, _ int) []netip.Addr {
		if name == "web.test" {
			return addrs("127.0.0.1")
		}
		return nil
	})
	p := connects(t, strings.ReplaceAll(proxied, "{{users}}", userFile(t, userLines))+" resolver "+names.addr+" ipv6=off;")
	out := run(t, python, filepath.Join(clientsDir, "connect_client.py"), "http://bcrypt:secret@"+p.Front(),
		"https://web.test:"+number+"/", filepath.Join(id.dir, "root.pem"))
	equal(t, "Python", out, "ok secret\n")
}

// Fifty log in at once with costly hashes, while a tunnel goes on.
func TestAuthStorm(t *testing.T) {
	b := proc.NewBackend(t, proc.Echo())
	var lines strings.Builder
	const clients = 50
	for i := range clients {
		fmt.Fprintf(&lines, "user%d:%s\n", i, bcrypt10)
	}
	p := holdfast(t, proc.Spec{HTTP: guarded, Vars: vars("backend", b.Addr, "users", userFile(t, lines.String()))})
	tunnel := proc.Dial(t, p.Front())
	tunnel.Handshake("x", "/open")
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			c := proc.Try(p.Front())
			defer c.Close()
			c.Send(with(basic("Authorization", fmt.Sprintf("user%d:secret", i)), get("/")))
			if head := c.Head(); head.Status() != 200 {
				t.Errorf("user %d: %q", i, head.Start)
			}
		})
	}
	done := make(chan bool)
	go func() { wg.Wait(); close(done) }()
	echoes := 0
	for busy := true; busy; echoes++ {
		tunnel.EchoText("still here")
		select {
		case <-done:
			busy = false
		default:
		}
	}
	t.Logf("%d echoes meanwhile", echoes)
	tunnel.Close()
}
