package steer

import (
	"fmt"
	"testing"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"holdfast/internal/sys"
)

// BenchmarkProgram says what the program takes of each SYN, as the kernel measures it.
// ns/op is a whole connection on loopback.
func BenchmarkProgram(b *testing.B) {
	for _, shards := range []int{2, 4, 8, allUpTo, 64} {
		b.Run(fmt.Sprint(shards), func(b *testing.B) {
			stats, err := ebpf.EnableStats(uint32(unix.BPF_STATS_RUN_TIME))
			if err != nil {
				b.Skip("the kernel does not tell:", err)
			}
			defer stats.Close()
			s, g := steering(b, Least, make([]uint64, shards)...), listenAll(b, shards)
			array, err := socketArray(g.sockets)
			if err != nil {
				b.Fatal(err)
			}
			defer array.Close()
			program, err := ebpf.NewProgram(least(s.loads.FD(), array.FD(), shards))
			if err != nil {
				b.Fatal(err)
			}
			defer program.Close()
			if errno := sys.SteerByProgram(g.sockets[0], program.FD()); errno != 0 {
				b.Fatal(errno)
			}
			loads := make([]uint64, shards)
			for b.Loop() {
				g.dial()
				g.serve(s, loads)
				for _, fd := range g.clients {
					sys.ResetOnClose(int32(fd))
					unix.Close(fd)
				}
				g.clients = g.clients[:0]
			}
			told, err := program.Stats()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(told.Runtime.Nanoseconds())/float64(told.RunCount), "ns/SYN")
		})
	}
}
