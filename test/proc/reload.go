package proc

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// Configure replaces the configuration file by that of spec; ports keep their numbers.
func (p *Proxy) Configure(t testing.TB, spec Spec) {
	t.Helper()
	text, err := p.render(spec)
	if err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(p.Dir, "nginx.conf")
	if err := errors.Join(os.WriteFile(conf+".new", []byte(text), 0o644), os.Rename(conf+".new", conf)); err != nil {
		t.Fatal(err)
	}
}

// Reload has a holdfast run with spec from now on, by a signal.
func (p *Proxy) Reload(t testing.TB, spec Spec) {
	t.Helper()
	p.Configure(t, spec)
	before := p.Status(t).Configuration
	if err := p.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	Until(t, "the reload", func() error {
		now := p.Status(t).Configuration
		if now.Failed != before.Failed {
			t.Fatalf("the reload failed:\n%s", p.logs())
		}
		if now.Generation == before.Generation {
			return fmt.Errorf("generation %d", now.Generation)
		}
		return nil
	})
}

// Tell runs `holdfast -s signal` for the proxy's configuration.
func (p *Proxy) Tell(t testing.TB, signal string) (output string, code int) {
	t.Helper()
	cmd := exec.Command(Binary(t), "-c", filepath.Join(p.Dir, "nginx.conf"), "-p", p.Dir+"/", "-s", signal)
	text, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}
