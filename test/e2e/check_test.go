package e2e_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"holdfast/test/proc"
)

// check runs "holdfast check" on a configuration and returns its exit code and output.
func check(t *testing.T, text string) (int, string) {
	t.Helper()
	only(t, proc.Holdfast)
	dir := t.TempDir()
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(proc.Binary(t), "check", "-c", conf, "-p", dir+"/")
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

// Every problem is reported at once, each with its file and line.
func TestCheckReportsEveryProblem(t *testing.T) {
	code, out := check(t, `events { worker_connections many; }
http {
    server {
        listen 127.0.0.1:8080;
        serverr_name a;
        location / {
            proxy_pas http://127.0.0.1:1;
        }
        location /php {
            fastcgi_pass 127.0.0.1:9000;
        }
        location ~ ^/re {
            proxy_pass http://127.0.0.1:1/uri;
        }
        keepalive_timeout 10y 5s 3s;
        tcp_nopush on;
    }
}
`)
	equal(t, "exit code", code, 1)
	for _, want := range []struct {
		line int
		says string
	}{
		{1, "worker_connections"},
		{5, "server_name"}, // the nearest name
		{7, "proxy_pass"},
		{10, "fastcgi_pass"},
		{13, "proxy_pass"},
		{15, "keepalive_timeout"},
		{16, "tcp_nopush"}, // known and without effect: a warning
	} {
		pattern := regexp.MustCompile(fmt.Sprintf(`(?m)nginx\.conf:%d:.*%s`, want.line, want.says))
		if !pattern.MatchString(out) {
			t.Errorf("no word about %q in line %d", want.says, want.line)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}

func TestCheckAcceptsAGoodConfiguration(t *testing.T) {
	code, out := check(t, `events {}
http {
    map $http_upgrade $connection_upgrade { default upgrade; '' close; }
    server {
        listen 127.0.0.1:8080;
        location / {
            proxy_pass http://127.0.0.1:1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
        }
    }
}
`)
	equal(t, "exit code", code, 0)
	if strings.Contains(out, "error:") {
		t.Error(out)
	}
}

// A configuration with an error does not start.
func TestRunRefusesABadConfiguration(t *testing.T) {
	only(t, proc.Holdfast)
	dir := t.TempDir()
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, []byte("events {}\nhttp { server { lissten 80; } }\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	p, err := proc.Launch(proc.Command{
		Path: proc.Binary(t), Args: []string{"run", "-c", conf, "-p", dir + "/"},
		Dir: dir, Output: filepath.Join(dir, "output"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	code, err := p.Exit(proc.Patience)
	equal(t, "exit code", code, 1)
	if err != nil {
		t.Fatal(err)
	}
	if said, _ := os.ReadFile(filepath.Join(dir, "output")); !strings.Contains(string(said), "nginx.conf:2") {
		t.Errorf("it says %q", said)
	}
}
