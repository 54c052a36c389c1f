package pki_test

import (
	"crypto/x509"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/test/pki"
	"holdfast/test/proc"
)

// What this package makes is read by crypto/x509 and by OpenSSL.
func TestOpenSSLReadsAll(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		proc.Skip(t, "openssl is not on PATH")
	}
	dir := t.TempDir()
	root := pki.NewAuthority(t, "root")
	middle := root.Intermediate(t, "middle")
	leaf := middle.Issue(t, pki.Request{Name: "leaf", Hosts: []string{"a.example", "127.0.0.1"}})
	gone := middle.Issue(t, pki.Request{Name: "gone", RSA: true, Client: true})
	pki.WriteFile(t, dir, "root.pem", root.PEM())
	pki.WriteFile(t, dir, "middle.pem", middle.PEM())
	leaf.Write(t, dir, "leaf")
	gone.Write(t, dir, "gone")
	pki.WriteFile(t, dir, "crl.pem", append(middle.CRL(t, gone), root.CRL(t)...))
	pki.WriteFile(t, dir, "ocsp.der", middle.OCSP(t, leaf))
	pki.WriteFile(t, dir, "locked.key", leaf.EncryptedKeyPEM(t, "open sesame"))

	if _, err := leaf.Cert.Verify(x509.VerifyOptions{
		Roots: root.Pool(), Intermediates: middle.Pool(), DNSName: "a.example",
	}); err != nil {
		t.Error(err)
	}
	for _, c := range []struct{ args, says string }{
		{"verify -CAfile root.pem -untrusted middle.pem leaf.pem", "leaf.pem: OK"},
		{"verify -crl_check_all -CRLfile crl.pem -CAfile root.pem -untrusted middle.pem leaf.pem", "leaf.pem: OK"},
		{"verify -crl_check_all -CRLfile crl.pem -CAfile root.pem -untrusted middle.pem gone.pem", "certificate revoked"},
		{"ocsp -respin ocsp.der -issuer middle.pem -cert leaf.pem -CAfile root.pem -no_nonce", "leaf.pem: good"},
		{"pkey -in locked.key -passin pass:open\\sesame -noout -text", "Private-Key: (256 bit)"},
	} {
		args := strings.Fields(c.args)
		for i, arg := range args {
			args[i] = strings.ReplaceAll(arg, `\`, " ")
		}
		cmd := exec.Command(openssl, args...)
		cmd.Dir = dir
		out, _ := cmd.CombinedOutput()
		if !strings.Contains(string(out), c.says) {
			t.Errorf("openssl %s in %s: %s", c.args, filepath.Base(dir), out)
		}
	}
}
