package tls_test

import (
	"crypto/tls"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"holdfast/test/pki"
	"holdfast/test/proc"
)

// reloadFront has its certificate in the proxy's own folder.
const reloadFront = modern + upgradeMap + `
server {
	listen 127.0.0.1:{{port:front}} ssl;
	server_name test.example;
	ssl_certificate {{own}}/swap.pem; ssl_certificate_key {{own}}/swap.key;
	KEYS
` + passing + `
}`

// commonName asks which certificate a new connection gets.
func commonName(t *testing.T, p *proc.Proxy) string {
	t.Helper()
	conn, err := tls.Dial("tcp", p.Front(), goConfig(t, visit{}))
	if err != nil {
		return err.Error()
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
}

func swapped(t *testing.T, dir, name string) {
	t.Helper()
	theWorld(t).middle.Issue(t, pki.Request{Name: name, Hosts: []string{host}}).Write(t, dir, "swap")
}

// A certificate swapped on disk is served after HUP, tunnels live through it, and sessions
// from before it are resumed.
func TestReload(t *testing.T) {
	t.Parallel()
	for _, keys := range []string{"", "ssl_session_ticket_key " + ticketKeys(t, 3, 80) + ";"} {
		dir := t.TempDir()
		swapped(t, dir, "before")
		spec := proc.Spec{HTTP: strings.Replace(reloadFront, "KEYS", keys, 1), Vars: map[string]string{"own": dir}}
		if keys == "" { // nginx makes new keys with every reload
			t.Run("own keys", func(t *testing.T) {
				t.Parallel()
				reload(t, holdfast(t, spec), dir)
			})
			continue
		}
		for _, kind := range []proc.Kind{proc.Nginx, proc.Holdfast} {
			t.Run(string(kind), func(t *testing.T) {
				t.Parallel()
				only(t, kind)
				own := t.TempDir()
				swapped(t, own, "before")
				spec.Vars = withWorld(t, map[string]string{"own": own})
				reload(t, proc.Start(t, kind, proc.Spec{HTTP: spec.HTTP, Vars: spec.Vars}), own)
			})
		}
	}
}

func reload(t *testing.T, p *proc.Proxy, dir string) {
	t.Helper()
	equal(t, "certificate", commonName(t, p), "before")
	var tunnels []*proc.Raw
	for i := range 50 {
		c := dialTLS(t, p.Front(), []string{"1.2", "1.3"}[i%2])
		c.Handshake(host, "/")
		c.EchoText("before")
		tunnels = append(tunnels, c)
	}
	sessions := map[string]string{}
	for _, version := range []string{"-tls1_2", "-tls1_3"} {
		sessions[version] = filepath.Join(dir, version)
		_ = sClient(t, p.Front(), closing("/tls"), version, "-sess_out", sessions[version])
	}
	swapped(t, dir, "after")
	if err := p.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	proc.Until(t, "the new certificate", func() error {
		if name := commonName(t, p); name != "after" {
			return fmt.Errorf("it is %s", name)
		}
		return nil
	})
	for version, session := range sessions {
		out := sClient(t, p.Front(), closing("/tls"), version, "-sess_in", session)
		// nginx binds its sessions to the certificates of their server.
		reused := strings.Contains(out, "Reused, ") || p.Kind == proc.Nginx
		if !reused || !strings.Contains(out, "HTTP/1.1 200") {
			t.Errorf("%s: the old session is not resumed:\n%s", version, brief(out))
		}
	}
	for i, c := range tunnels {
		c.EchoText("after").Close()
		if c.Err() != nil {
			t.Errorf("tunnel %d: %v", i, c.Err())
		}
	}
}

// Without any signal a certificate swapped on disk is noticed, and one that is broken or
// does not fit its key is left aside with a word in the log.
func TestCertificateChangesOnDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	swapped(t, dir, "before")
	p := holdfast(t, proc.Spec{HTTP: strings.Replace(reloadFront, "KEYS", "", 1), Vars: map[string]string{"own": dir}})
	equal(t, "certificate", commonName(t, p), "before")
	pki.WriteFile(t, dir, "swap.pem", []byte("no certificate\n"))
	proc.Until(t, "a word in the log", func() error {
		if !strings.Contains(p.ErrorLog(), "swap.pem") {
			return fmt.Errorf("the log says %q", p.ErrorLog())
		}
		return nil
	})
	equal(t, "certificate", commonName(t, p), "before")
	swapped(t, dir, "after")
	proc.Until(t, "the new certificate", func() error {
		if name := commonName(t, p); name != "after" {
			return fmt.Errorf("it is %s", name)
		}
		return nil
	})
}
