package engine

import (
	"flag"
	"syscall"
	"testing"

	"holdfast/test/busy"
)

// scannedMax is how many bytes of a tunnel the collector may look at, on average: its record has
// no pointer, and the slab's chunks are one pointer for a thousand tunnels.
const scannedMax = 2

// scannedOnce is what the process may have come to need meanwhile, however many tunnels: a
// connection of the admin server, lists that have grown.
const scannedOnce = 64 << 10

var gcTunnels = flag.Int("gc.tunnels", 9000, "tunnels in TestTheCollectorDoesNotSeeTunnels")

// TestTheCollectorDoesNotSeeTunnels opens real tunnels and looks at how much of the heap the
// collector has to scan: as much as before. -v prints what a collection took.
func TestTheCollectorDoesNotSeeTunnels(t *testing.T) {
	t.Parallel() // it mostly waits
	n := *gcTunnels
	if testing.Short() {
		n = 500
	}
	var files syscall.Rlimit
	must(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files))
	n = int(min(uint64(n), files.Cur*9/20)) // two descriptors each, and some to spare
	both, begin := startLoaded(t, 1, busy.Options{Mode: busy.Messages, Connections: n, Size: 64, Rate: 1})
	collect := func() (r report) {
		both.proxy.say("collect")
		both.proxy.hearJSON(&r)
		return r
	}
	show := func(tunnels int, r report) {
		t.Logf("%d tunnels: scanned %d bytes; runtime.GC() at best %.0f, %v µs; world stopped %v µs (p50 / p99 / max (count))",
			tunnels, r.Scanned, r.Collect.Min, r.Collect, r.Pause)
	}
	collect() // the first is what the runtime and the admin server begin with
	before := collect()
	show(0, before)
	begin()
	waitForTraffic(t, both.admin.String(), n)
	var after report
	// What the requests were held in is kept for reuse for a while.
	until(t, "the heap to be tidied up", func() bool {
		after = collect()
		return int64(after.Scanned)-int64(before.Scanned) <= scannedOnce+int64(n)*scannedMax
	})
	show(n, after)
	t.Logf("%.2f bytes scanned for each tunnel", float64(int64(after.Scanned)-int64(before.Scanned))/float64(n))
}
