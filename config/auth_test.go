package config_test

import (
	"strings"
	"testing"

	"holdfast/config"
)

// Realm and file are inherited each by itself, as in nginx.
func TestAuthIsInherited(t *testing.T) {
	cfg := mustLoad(t, inHTTP(`auth_basic "all"; auth_basic_user_file users;
	server {
		listen 127.0.0.1:81;
		location /same { }
		location /off { auth_basic off; }
		location /realm { auth_basic "of $host"; }
		location /file { auth_basic_user_file /etc/others; }
	}`))
	server := cfg.HTTP.Servers[0]
	file := server.Settings.Auth.File.Path
	if server.Settings.Auth.Realm.Text != "all" || !server.Settings.Auth.Written || !strings.HasSuffix(file, "/users") {
		t.Errorf("server %+v", server.Settings.Auth)
	}
	for i, want := range []struct{ realm, file string }{
		{"all", file}, {"off", file}, {"of $host", file}, {"all", "/etc/others"},
	} {
		auth := server.Locations[i].Settings.Auth
		if auth.Realm.Text != want.realm || auth.File.Path != want.file {
			t.Errorf("location %d: %+v", i, auth)
		}
	}
	if cfg := mustLoad(t, inHTTP("server { listen 127.0.0.1:81; }")); cfg.HTTP.Servers[0].Settings.Auth.Written {
		t.Error("auth_basic is on by itself")
	}
}

func TestAuthProblems(t *testing.T) {
	for _, text := range []string{
		"auth_basic;", "auth_basic a b;", "auth_basic a; auth_basic b;", "auth_basic \"a\nb\";", "auth_basic_user_file;",
		"auth_basic_user_file '';", "auth_basic_user_file /etc/$host;", "auth_basic_user_file a b;",
	} {
		if cfg, _ := config.LoadText("nginx.conf", inHTTP("server { listen 127.0.0.1:81; "+text+" }"), config.Options{}); cfg != nil {
			t.Errorf("%s was taken", text)
		}
	}
}
