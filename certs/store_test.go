package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func serial1(t *testing.T, s *Server) string {
	t.Helper()
	h := shake(t, &tls.Config{InsecureSkipVerify: true}, s.state.Load().config)
	if h.clientErr != nil {
		t.Fatal(h.clientErr)
	}
	return h.client.PeerCertificates[0].Subject.CommonName
}

// TestFilesChange proves that new handshakes get a new certificate, and that a file that
// can't be used changes nothing and is said once.
func TestFilesChange(t *testing.T) {
	f, said := newFolder(t), &log{}
	st := NewStore(Options{Log: said.add})
	one, two := issue(t, nil, named("a.test"), false), issue(t, nil, named("a.test"), false)
	pair := f.pair("a", one)
	s := mustServer(t, st, serverSpec(pair))
	untouched := mustServer(t, st, serverSpec(f.pair("b", issue(t, nil, named("b.test"), false))))
	before := untouched.state.Load()

	st.Poll()
	if said.Len() > 0 || s.state.Load().leaves[0].SerialNumber.Cmp(one.cert.SerialNumber) != 0 {
		t.Errorf("without a change: %s", said)
	}
	// The certificate first, the key later, as two writes are.
	certs, key := two.pem()
	f.newer(f.write("a.pem", certs), time.Second)
	for range 3 {
		st.Poll()
	}
	if n := strings.Count(said.String(), "problem: "); n != 1 || !strings.Contains(said.String(), "what was in use stays") {
		t.Errorf("between the two writes: %s", said)
	}
	if serial1(t, s) != one.cert.Subject.CommonName {
		t.Error("a certificate without its key is served")
	}
	f.newer(f.write("a.key", key), 2*time.Second)
	st.Poll()
	if serial1(t, s) != two.cert.Subject.CommonName || !strings.Contains(said.String(), "read again: "+pair.Certificate.Path) {
		t.Errorf("the new certificate is not served: %s", said)
	}
	if untouched.state.Load() != before {
		t.Error("a server whose files did not change was made anew")
	}

	said.Reset()
	if err := os.Remove(pair.Key.Path); err != nil {
		t.Fatal(err)
	}
	st.Poll()
	if renewed, failed := st.Reload(); renewed != 1 || failed != 1 || !strings.Contains(said.String(), "no such file") {
		t.Errorf("without a key: %d anew, %d not: %s", renewed, failed, said)
	}
	if serial1(t, s) != two.cert.Subject.CommonName {
		t.Error("the certificate is gone with its file")
	}
}

// TestTurnedLink is how certificate managers publish: the name is a link to another folder.
func TestTurnedLink(t *testing.T) {
	f := newFolder(t)
	one, two := issue(t, nil, named("a.test"), false), issue(t, nil, named("a.test"), false)
	publish := func(folderName string, i *issued) {
		t.Helper()
		if err := os.Mkdir(filepath.Join(f.dir, folderName), 0o700); err != nil {
			t.Fatal(err)
		}
		f.pair(folderName+"/tls", i)
		link := filepath.Join(f.dir, "next")
		if err := os.Symlink(folderName, link); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link, filepath.Join(f.dir, "data")); err != nil {
			t.Fatal(err)
		}
	}
	publish("one", one)
	name := func(file string) File { return File{Path: filepath.Join(f.dir, "data", file)} }
	st := NewStore(Options{})
	s := mustServer(t, st, serverSpec(KeyPair{name("tls.pem"), name("tls.key")}))
	publish("two", two)
	st.Poll()
	if serial1(t, s) != two.cert.Subject.CommonName {
		t.Error("the link was turned, the old certificate is served")
	}
}

func TestSameSettingsShare(t *testing.T) {
	f := newFolder(t)
	st := NewStore(Options{})
	spec := serverSpec(f.pair("a", issue(t, nil, named("a.test"), false)))
	again := spec
	again.Certificates = []KeyPair{spec.Certificates[0]}
	again.Certificates[0].Certificate.Line = 99
	if mustServer(t, st, spec) != mustServer(t, st, again) {
		t.Error("the place in the configuration makes a difference")
	}
	again.SessionTimeout++
	if mustServer(t, st, spec) == mustServer(t, st, again) {
		t.Error("different settings share")
	}
	one, _ := st.Client(ClientSpec{SendName: true})
	two, _ := st.Client(ClientSpec{SendName: true})
	three, _ := st.Client(ClientSpec{})
	if one != two || one == three || one.ID == three.ID || one.ID == 0 || three.ID == 0 {
		t.Errorf("clients %d, %d, %d", one.ID, two.ID, three.ID)
	}
}

func TestExpiring(t *testing.T) {
	f := newFolder(t)
	st := NewStore(Options{})
	day := 24 * time.Hour
	for name, left := range map[string]time.Duration{"far": 60 * day, "near": 10 * day, "past": -time.Minute} {
		mustServer(t, st, serverSpec(f.pair(name, issue(t, nil, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(left) }, false))))
	}
	var got []string
	for _, err := range st.Expiring(30 * day) {
		got = append(got, err.Error())
	}
	all := strings.Join(got, "\n")
	if len(got) != 2 || !strings.Contains(all, "near.pem: the certificate expires on ") || !strings.Contains(all, "past.pem: the certificate has expired on ") {
		t.Errorf("expiring: %s", all)
	}
	if len(st.Unreadable()) != 0 {
		t.Error("files can't be read")
	}
	if err := os.Remove(f.dir + "/near.key"); err != nil {
		t.Fatal(err)
	}
	if list := st.Unreadable(); len(list) != 1 || !strings.HasSuffix(list[0].File.Path, "near.key") {
		t.Errorf("unreadable: %v", list)
	}
}

func TestWatchEnds(t *testing.T) {
	f := newFolder(t)
	st := NewStore(Options{})
	st.Watch(t.Context()) // nothing to watch
	mustServer(t, st, serverSpec(f.pair("a", issue(t, nil, nil, false))))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	st.Watch(ctx)
}
