package engine

import (
	"flag"
	"testing"
	"time"

	"holdfast/test/busy"
	"holdfast/test/procfs"
)

var (
	stormSessions = flag.Int("storm.sessions", 2000, "sessions of a storm in TestMemoryComesBackAfterStorms")
	stormRest     = flag.Duration("storm.rest", 0, "how long memory is looked at after a storm, at least")
)

// stormSlack is by how much a later storm may leave more behind than the first.
const stormSlack = 1 << 20

// TestMemoryComesBackAfterStorms has short sessions come in storms and watches the process's
// memory. The first storm touches pages that stay; the others must leave nothing on top.
//
//	go test ./engine -run TestMemoryComesBack -v -storm.sessions 20000 -storm.rest 30s
func TestMemoryComesBackAfterStorms(t *testing.T) {
	if testing.Short() {
		t.Skip("it waits for the runtime to give memory back")
	}
	const storms = 4
	both, storm := startLoaded(t, 2, busy.Options{
		Mode: busy.Sessions, Connections: min(500, *stormSessions), Count: *stormSessions, Size: 64,
	})
	pss := func() int64 {
		n, err := procfs.PSS(both.proxy.cmd.Process.Pid)
		must(t, err)
		return n
	}
	before := pss()
	var plateau int64
	for i := range storms {
		peak, line2 := int64(0), ""
		done := make(chan string, 1)
		storm()
		go func() {
			line, _ := both.load.out.ReadString('\n')
			done <- line
		}()
		for line := ""; line == ""; {
			select {
			case line = <-done:
				line2 = line
				if line == "" {
					t.Fatalf("the load ended\n%s", both.load.err)
				}
			case <-time.After(10 * time.Millisecond):
				peak = max(peak, pss())
			}
		}
		rest := settle(t, pss, plateau)
		t.Logf("%s storm %d of %d sessions: PSS %d KiB before all, %d at its peak, %d at rest",
			line2, i+1, *stormSessions, before>>10, peak>>10, rest>>10)
		if i == 0 {
			plateau = rest
		}
	}
}

// settle waits until memory has come down to the plateau of the first storm, which it finds
// where plateau is 0: what is left when nothing was given back for some time.
func settle(t *testing.T, pss func() int64, plateau int64) (lowest int64) {
	t.Helper()
	began, since := time.Now(), time.Now()
	lowest = pss()
	until(t, "memory to come back", func() bool {
		if n := pss(); n < lowest {
			lowest, since = n, time.Now()
		}
		if time.Since(began) < *stormRest {
			return false
		}
		if plateau > 0 {
			return lowest <= plateau+stormSlack
		}
		return time.Since(since) > scavengeEvery+5*time.Second
	})
	return lowest
}
