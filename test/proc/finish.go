package proc

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"holdfast/test/procfs"
)

// alarming are the words that no test may leave in a log: what a proxy writes when it
// found itself in the wrong, or what the Go runtime writes when it dies.
var alarming = []string{"[alert]", "[emerg]", "panic:", "fatal error:", "DATA RACE"}

// baseline is what a proxy holds before it has served anything.
type baseline struct{ files procfs.Files }

// takeBaseline looks at a holdfast that has served nothing. The status is read first,
// since the first connection to the admin listener opens descriptors for good.
func (p *Proxy) takeBaseline(t testing.TB) {
	t.Helper()
	if p.Kind != Holdfast {
		return
	}
	p.Status(t)
	Until(t, "the admin connection's end", func() error {
		before, err := procfs.OpenFiles(p.PID())
		if err != nil {
			return err
		}
		p.baseline.files = before
		s, err := ReadStatus(p.Admin())
		if err != nil {
			return err
		}
		after, err := procfs.OpenFiles(p.PID())
		if err != nil {
			return err
		}
		if live := s.Totals.Live(); live != 0 || before.Sockets != after.Sockets {
			return fmt.Errorf("sockets %d, then %d; sessions %d", before.Sockets, after.Sockets, live)
		}
		return nil
	})
}

// AtBaseline tells what a holdfast still holds that it did not hold at its start:
// sessions, tunnels, buffers, pipes or sockets; nil when nothing.
func (p *Proxy) AtBaseline() error {
	s, err := ReadStatus(p.Admin())
	if err != nil {
		return err
	}
	files, err := procfs.OpenFiles(p.PID())
	if err != nil {
		return err
	}
	sum := s.Totals
	if sum.Tunnels != 0 || sum.Live() != 0 || sum.BufsOut != 0 || sum.PipesOut != 0 || sum.RequestsOut != 0 {
		return fmt.Errorf("tunnels %d, sessions %v, bufs_out %d, pipes_out %d, requests_out %d",
			sum.Tunnels, sum.Sessions, sum.BufsOut, sum.PipesOut, sum.RequestsOut)
	}
	if want := p.baseline.files.Sockets + int(sum.UpstreamIdle); files.Sockets != want {
		return fmt.Errorf("%d sockets, at the start %d, idle upstream connections %d",
			files.Sockets, p.baseline.files.Sockets, sum.UpstreamIdle)
	}
	if files.Others > p.baseline.files.Others {
		return fmt.Errorf("%d open files besides sockets and pipes, at the start %d",
			files.Others, p.baseline.files.Others)
	}
	return nil
}

// Stop ends the proxy by a signal, TERM for nginx's fast stop or QUIT for the graceful
// one, and checks that it exits with code 0.
func (p *Proxy) Stop(t testing.TB, sig syscall.Signal) {
	t.Helper()
	p.stopped = true
	if err := p.Signal(sig); err != nil {
		t.Errorf("%v to %s: %v", sig, p.Kind, err)
	}
	code, err := p.Exit(Patience)
	if err != nil || code != 0 {
		t.Errorf("%s after %v: exit code %d, %v", p.Kind, sig, code, err)
	}
	p.Kill()
}

// finish makes the checks every test ends with.
func (p *Proxy) finish(t testing.TB) {
	t.Helper()
	if p.Ended() && !p.stopped {
		t.Errorf("%s ended during the test", p.Kind)
	} else if !p.stopped {
		if p.Kind == Holdfast {
			if err := Poll(Patience, p.AtBaseline); err != nil {
				t.Errorf("something leaked: %v", err)
			}
		}
		p.Stop(t, syscall.SIGTERM)
	}
	for _, line := range strings.Split(p.read("output.log")+p.ErrorLog(), "\n") {
		for _, word := range alarming {
			if strings.Contains(line, word) && !p.tolerates(line) {
				t.Errorf("logged: %s", line)
			}
		}
	}
	if t.Failed() {
		t.Logf("%s kept its files in %s\n%s", p.Kind, p.Dir, p.logs())
		return
	}
	if err := os.RemoveAll(p.Dir); err != nil {
		t.Error(err)
	}
}

// Tolerate lets log lines with this text pass that would fail the test otherwise: an
// alert that the test provokes.
func (p *Proxy) Tolerate(text string) { p.tolerated = append(p.tolerated, text) }

func (p *Proxy) tolerates(line string) bool {
	for _, text := range p.tolerated {
		if strings.Contains(line, text) {
			return true
		}
	}
	return false
}
