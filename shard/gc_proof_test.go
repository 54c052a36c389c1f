package shard

import (
	"fmt"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// fillSlab makes n sessions that look like idle tunnels, without sockets. emptySlab ends them.
func fillSlab(sh *Shard, n int) {
	for range n {
		h, s := sh.sessions.Alloc()
		s.slot = h.Slot
		s.Down.FD, s.Up.FD = -1, -1
		s.state = Tunnel
	}
}

func emptySlab(sh *Shard) {
	for slot := range uint32(sh.sessions.Len()) {
		sh.sessions.Free(slot)
	}
}

func scannedHeap() int64 {
	runtime.GC()
	s := []metrics.Sample{{Name: "/gc/scan/heap:bytes"}}
	metrics.Read(s)
	return int64(s[0].Value.Uint64())
}

// A million sessions add nothing to what the collector looks at but the pointers to the slab's
// chunks, of which there is one for 1,024 sessions.
func TestTheCollectorDoesNotSeeSessions(t *testing.T) {
	n := 1_000_000
	if testing.Short() {
		n = 100_000
	}
	w := newWorld(t, site{paused: true})
	scannedHeap() // what other tests have left
	before := scannedHeap()
	fillSlab(w.sh, n)
	after := scannedHeap()
	if w.sh.sessions.Len() != n {
		t.Fatalf("%d sessions", w.sh.sessions.Len())
	}
	emptySlab(w.sh)
	const perChunk = 1024
	if grown := after - before; grown > 64<<10+int64(n)/perChunk*16 {
		t.Errorf("%d bytes to scan became %d with %d sessions: %.2f for each", before, after, n, float64(grown)/float64(n))
	}
}

// BenchmarkFullCollection collects with many sessions in the slab.
func BenchmarkFullCollection(b *testing.B) {
	for _, n := range []int{0, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("sessions=%d", n), func(b *testing.B) {
			w := newWorld(b, site{paused: true})
			fillSlab(w.sh, n)
			scanned := scannedHeap()
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			cpu, least := cpuTime(b), time.Hour
			for b.Loop() {
				began := time.Now()
				runtime.GC()
				least = min(least, time.Since(began))
			}
			cpu = cpuTime(b) - cpu
			runtime.ReadMemStats(&after)
			emptySlab(w.sh)
			cycles := float64(after.NumGC - before.NumGC)
			b.ReportMetric(float64(cpu.Nanoseconds())/cycles, "cpu-ns/op")
			b.ReportMetric(float64(least.Nanoseconds()), "best-ns")
			b.ReportMetric(float64(after.PauseTotalNs-before.PauseTotalNs)/cycles, "pause-ns/op")
			b.ReportMetric(float64(scanned), "scanned-B")
		})
	}
}

// cpuTime is what the process has used of the CPU, which a busy machine does not add to.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
