// Package e2e_test runs the real binary between real clients and real backends. Where
// nginx behaves the same the test runs against nginx too: that proves that what it
// expects is right. HOLDFAST_E2E_ONLY=nginx (or holdfast) runs one of them only.
package e2e_test

import (
	"fmt"
	"os"
	"testing"

	"holdfast/test/proc"
)

func TestMain(m *testing.M) {
	if role := os.Getenv("HOLDFAST_TEST_ROLE"); role != "" {
		os.Exit(playRole(role))
	}
	os.Exit(proc.Main(m))
}

// both runs a test against holdfast and against nginx.
func both(t *testing.T, spec proc.Spec, test func(t *testing.T, p *proc.Proxy)) {
	t.Helper()
	for _, kind := range []proc.Kind{proc.Nginx, proc.Holdfast} {
		t.Run(string(kind), func(t *testing.T) {
			only(t, kind)
			test(t, proc.Start(t, kind, spec))
		})
	}
}

// holdfast starts a holdfast, for tests of what nginx has not or does otherwise.
func holdfast(t *testing.T, spec proc.Spec) *proc.Proxy {
	t.Helper()
	only(t, proc.Holdfast)
	return proc.Start(t, proc.Holdfast, spec)
}

func only(t *testing.T, kind proc.Kind) {
	t.Helper()
	if chosen := os.Getenv("HOLDFAST_E2E_ONLY"); chosen != "" && chosen != string(kind) {
		t.Skipf("HOLDFAST_E2E_ONLY=%s", chosen)
	}
}

// classic is a server that passes everything under / to {{backend}} in the usual idiom.
const classic = `
map $http_upgrade $connection_upgrade {
    default upgrade;
    ''      "";
}
upstream backend {
    server {{backend}};
    keepalive 16;
}
server {
    listen 127.0.0.1:{{port:front}};
    client_max_body_size 0;
    proxy_request_buffering off;
    proxy_buffering off;
    location / {
        proxy_pass http://backend;
        proxy_http_version 1.1;
        proxy_set_header Host $host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection $connection_upgrade;
    }
}
`

// to is the classic spec in front of a backend.
func to(b *proc.Backend) proc.Spec {
	return proc.Spec{HTTP: classic, Vars: map[string]string{"backend": b.Addr}}
}

// get is a plain request in the shortest form that HTTP/1.1 allows.
func get(target string) string { return "GET " + target + " HTTP/1.1\r\nHost: test.example\r\n\r\n" }

// equal reports a difference of two values that have a printed form.
func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, fmt.Sprintf("%#v", got), fmt.Sprintf("%#v", want))
	}
}
