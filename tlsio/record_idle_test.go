package tlsio_test

import (
	"runtime"
	"testing"

	"holdfast/internal/sys"
	"holdfast/pool"
	"holdfast/tlsio"
)

// BenchmarkIdle measures what a connection keeps on the heap after it has carried a message
// of 16 KiB each way: at first, and once the layer was trimmed as an idle shard does.
func BenchmarkIdle(b *testing.B) {
	const count = 4000
	heap := func() float64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc)
	}
	for b.Loop() {
		fda, fdb := sockets(b)
		before := heap()
		bufs := pool.NewBufs(64 << 20)
		l := tlsio.NewLayer(bufs)
		data, in := make([]byte, 16<<10), make([]byte, 64<<10)
		for i := range count {
			var x, y tlsio.Established
			x.Version, x.Suite, x.Client = tlsio.TLS13, suites[0].id, true
			x.In.Secret[0], x.Out.Secret[0] = byte(i), byte(i>>8)
			y.Version, y.Suite, y.In, y.Out = x.Version, x.Suite, x.Out, x.In
			ends := [2]uint32{l.Open(&x, nil), l.Open(&y, nil)}
			for k := range ends {
				l.Write(ends[k], fda, data)
				if n, errno := l.Recv(ends[1-k], fdb, in); n != len(data) || errno != 0 {
					b.Fatal(n, errno, l.Problem())
				}
			}
		}
		b.ReportMetric((heap()-before)/(2*count), "busy-B/conn")
		for l.Trim() {
		}
		for bufs.Trim() {
		}
		b.ReportMetric((heap()-before)/(2*count), "idle-B/conn")
		runtime.KeepAlive(l)
		sys.Close(fda)
		sys.Close(fdb)
	}
}
