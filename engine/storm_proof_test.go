package engine

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"holdfast/test/busy"
)

var (
	stormSessions = flag.Int("storm.sessions", 2000, "sessions of a storm in TestMemoryComesBackAfterStorms")
	stormCount    = flag.Int("storm.count", 2, "storms")
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
	t.Parallel() // it mostly waits
	both, storm := startLoaded(t, 2, busy.Options{
		Mode: busy.Sessions, Connections: min(500, *stormSessions), Count: *stormSessions, Size: 64,
	})
	memory := func() int64 { return anonymous(t, both.proxy.cmd.Process.Pid) }
	before := memory()
	var plateau int64
	for i := range *stormCount {
		peak := int64(0)
		done := make(chan string, 1)
		storm()
		go func() {
			line, _ := both.load.out.ReadString('\n')
			done <- line
		}()
		for line := ""; line == ""; {
			select {
			case line = <-done:
				if line == "" {
					t.Fatalf("the load ended\n%s", both.load.err)
				}
			case <-time.After(10 * time.Millisecond):
				peak = max(peak, memory())
			}
		}
		rest := settle(t, memory, plateau)
		t.Logf("storm %d of %d sessions: %d KiB before all, %d at its peak, %d at rest",
			i+1, *stormSessions, before>>10, peak>>10, rest>>10)
		if i == 0 {
			plateau = rest
		}
	}
}

// anonymous is the memory of a process that is no file's, in bytes. The binary's own pages, which
// its share of depends on who else runs it, are left out.
func anonymous(t *testing.T, pid int) int64 {
	t.Helper()
	for line := range strings.Lines(read(fmt.Sprintf("/proc/%d/status", pid))) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "RssAnon: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	t.Fatal("no RssAnon in the status of a process")
	return 0
}

// settle waits until memory has come down to the plateau of the first storm, which it finds
// where plateau is 0: what is left when nothing more was given back for some time.
func settle(t *testing.T, memory func() int64, plateau int64) (lowest int64) {
	t.Helper()
	began, since := time.Now(), time.Now()
	lowest = memory()
	first := lowest
	until(t, "memory to come back", func() bool {
		if n := memory(); n < lowest {
			lowest, since = n, time.Now()
		}
		if time.Since(began) < *stormRest {
			return false
		}
		if plateau > 0 {
			return lowest <= plateau+stormSlack
		}
		if first-lowest > 256<<10 {
			return time.Since(since) > 2*time.Second
		}
		return time.Since(since) > scavengeEvery+10*time.Second
	})
	return lowest
}
