package e2e_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/test/proc"
)

func TestUnixListenerAndUnixUpstream(t *testing.T) {
	dir, err := os.MkdirTemp("", "holdfast-unix-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	b := proc.NewBackendAt(t, "unix:"+filepath.Join(dir, "backend.sock"), proc.Echo())
	both(t, proc.Spec{Vars: map[string]string{"backend": b.Addr}, HTTP: `
    map $http_upgrade $connection_upgrade { default upgrade; '' ""; }
    upstream sock { server {{backend}}; keepalive 4; }
    server {
        listen unix:{{dir}}/front.sock;
        location / {
            proxy_pass http://sock;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
        }
        location /direct/ { proxy_pass http://{{backend}}:/there/; }
    }`}, func(t *testing.T, p *proc.Proxy) {
		front := "unix:" + filepath.Join(p.Dir, "front.sock")
		for range 8 {
			c := proc.Dial(t, front)
			c.Handshake("x", "/")
			c.EchoText("over unix sockets")
			c.Close()
		}
		c := proc.Dial(t, front)
		for range 4 {
			c.Send(get("/plain"))
			equal(t, "body", string(c.Body(c.Response(200))), "GET /plain HTTP/1.1\n")
		}
		c.Close()
		c = proc.Dial(t, front)
		c.Send(get("/direct/x"))
		body := string(c.Body(c.Response(200)))
		equal(t, "target", strings.Fields(body)[1], "/there/x")
		c.Close()
	})
}

func TestIPv6ListenerAndUpstream(t *testing.T) {
	if ln, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skip("no IPv6 loopback: ", err)
	} else {
		ln.Close()
	}
	b := proc.NewBackendAt(t, "[::1]:0", proc.Echo())
	both(t, proc.Spec{Vars: map[string]string{"backend": b.Addr}, HTTP: `
    server {
        listen [::1]:{{port:front}};
        location / {
            proxy_pass http://{{backend}};
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_set_header X-Real-IP $remote_addr;
        }
    }`}, func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, net.JoinHostPort("::1", p.Port("front")))
		c.Handshake("x", "/")
		c.EchoText("over IPv6")
		equal(t, "X-Real-IP", b.Last(t).Head.Get("X-Real-IP"), "::1")
	})
}

// Servers of one port are told apart by their names.
func TestServerNames(t *testing.T) {
	both(t, proc.Spec{HTTP: `
    server { listen 127.0.0.1:{{port:front}}; server_name first.example; return 200 "first"; }
    server { listen 127.0.0.1:{{port:front}} default_server; return 200 "default"; }
    server { listen 127.0.0.1:{{port:front}}; server_name *.wild.example; return 200 "star"; }
    server { listen 127.0.0.1:{{port:front}}; server_name wild.*; return 200 "tail"; }
    server { listen 127.0.0.1:{{port:front}}; server_name ~^re-(?<n>\d+)\.example$; return 200 "regex $n"; }`},
		func(t *testing.T, p *proc.Proxy) {
			for host, want := range map[string]string{
				"first.example": "first", "FIRST.example:99": "first", "other": "default",
				"a.b.wild.example": "star", "wild.org": "tail", "re-42.example": "regex 42", "re-x.example": "default",
			} {
				c := proc.Dial(t, p.Front())
				c.Send("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
				equal(t, "server for "+host, string(c.Body(c.Response(200))), want)
				c.Close()
			}
		})
}

// A second instance on the same port is an error that says so, not a silent half of the
// connections.
func TestSecondInstanceIsRefused(t *testing.T) {
	first := holdfast(t, proc.Spec{HTTP: `server { listen 127.0.0.1:{{port:front}}; return 204; }`})
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "logs"), 0o755); err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(dir, "nginx.conf")
	text := "error_log logs/error.log;\npid second.pid;\nevents {}\nhttp { access_log off;\n" +
		"server { listen " + first.Front() + "; return 204; } }\n"
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	output := filepath.Join(dir, "output")
	second, err := proc.Launch(proc.Command{
		Path: proc.Binary(t), Args: []string{"run", "-c", conf, "-p", dir + "/"}, Dir: dir, Output: output,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(second.Kill)
	code, err := second.Exit(proc.Patience)
	if err != nil || code == 0 {
		t.Fatalf("the second instance: exit code %d, %v", code, err)
	}
	said, _ := os.ReadFile(output)
	logged, _ := os.ReadFile(filepath.Join(dir, "logs", "error.log"))
	if all := string(said) + string(logged); !strings.Contains(all, first.Port("front")) ||
		!strings.Contains(strings.ToLower(all), "in use") {
		t.Errorf("it does not say that port %s is in use: %q", first.Port("front"), all)
	}
	if _, err := os.Stat(filepath.Join(dir, "second.pid")); err == nil {
		t.Error("it left a pid file")
	}
}
