package engine

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/config"
	"holdfast/route"
)

func TestBuildAuth(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"good": "u:{PLAIN}p\n", "bad": "u:{PLAIN}p\nsecret\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cfg := load(t, strings.ReplaceAll(`http { server { listen 1; auth_basic_user_file DIR/good;
		location /none { }
		location /off { auth_basic off; }
		location /on { auth_basic on; }
		location /same { auth_basic $host; }
		location /bad { auth_basic bad; auth_basic_user_file DIR/bad; }
		location /missing { auth_basic missing; auth_basic_user_file DIR/missing; } }
		server { listen 2; auth_basic lost;
		location / { auth_basic_user_file DIR/good; } } }`, "DIR", dir))
	built, problems := Build(cfg, route.Process{}, NewShared())
	if built == nil {
		t.Fatal(problems)
	}
	var text strings.Builder
	for _, p := range problems {
		text.WriteString(p.String() + "\n")
	}
	if len(problems) != 3 || config.HasErrors(problems) || strings.Contains(text.String(), "secret") ||
		!strings.Contains(text.String(), "bad:2: warning: a line without a user") ||
		!strings.Contains(text.String(), "every request with a password is answered 403") ||
		!strings.Contains(text.String(), "asks nobody") {
		t.Errorf("problems\n%s", &text)
	}
	if n := len(built.Snapshot.Users); n != 3 {
		t.Errorf("%d files of users, want 3", n)
	}
	server := built.Snapshot.Table.Default(0)
	for path, want := range map[string]int{"/none": -1, "/off": -1, "/on": 0, "/same": 0, "/bad": 1, "/missing": 2} {
		location, _ := server.Locate(&route.Env{URI: []byte(path)})
		auth := location.Settings.Auth
		if (auth != nil) != (want >= 0) || auth != nil && auth.Users != want {
			t.Errorf("%s: %+v, want users %d", path, auth, want)
		}
	}
	if files, failed := built.Users.Reload(); files != 3 || failed != 1 {
		t.Errorf("%d files, %d failed", files, failed)
	}
}
