package doctor_test

import (
	"math"
	"testing"

	"holdfast/doctor"
)

// TestModelPredictsWhatWasMeasured compares the model with measured points: two shards,
// go run ./bench/hold -bin bin/holdfast -n N -settle 15s. A change of the product that
// moves these by more than the tolerance needs new coefficients, from new points.
func TestModelPredictsWhatWasMeasured(t *testing.T) {
	const tolerance = 0.15
	points := []struct {
		n            int64
		before, held int64 // proportional set size in KiB
	}{
		{1000, 13253, 13825},
		{2000, 13187, 13975},
		{4000, 13189, 14192},
		{6500, 13214, 14587},
		{9000, 13086, 14797},
		{9000, 13459, 15001}, // bench/results/hold.md
	}
	for _, p := range points {
		base, all := doctor.UserBytes(0, 2)>>10, doctor.UserBytes(p.n, 2)>>10
		for _, c := range []struct {
			what                string
			predicted, measured int64
		}{
			{"before", base, p.before},
			{"held", all, p.held},
			{"growth", all - base, p.held - p.before},
		} {
			if off := float64(c.predicted)/float64(c.measured) - 1; math.Abs(off) > tolerance {
				t.Errorf("%d tunnels, %s: predicted %d KiB, measured %d KiB: %+.0f %%", p.n, c.what, c.predicted, c.measured, 100*off)
			}
		}
	}
}

// Kernel memory: the sum over the slab caches for two sockets was measured at 8.0 to
// 8.1 KB, the table of descriptors apart.
func TestKernelBytes(t *testing.T) {
	if b := float64(doctor.KernelBytes(1<<18, false)) / (1 << 18); b < 8000 || b > 8200 {
		t.Errorf("%.0f bytes a tunnel", b)
	}
	if more := doctor.KernelBytes(1000, true) - doctor.KernelBytes(1000, false); more < 500_000 {
		t.Errorf("connection tracking adds %d bytes for 1000 tunnels", more)
	}
	if b := doctor.KernelBytes(0, true); b != 0 {
		t.Errorf("%d bytes for nothing", b)
	}
}

func TestMemoryGrowsWithTunnels(t *testing.T) {
	last := int64(0)
	for n := int64(0); n < 5000; n++ {
		now := doctor.UserBytes(n, 3) + doctor.KernelBytes(n, true)
		if now <= last {
			t.Fatalf("%d tunnels take %d bytes, one less %d", n, now, last)
		}
		last = now
	}
}

// A shard gets room above its share, and one shard needs none.
func TestPerShard(t *testing.T) {
	for _, c := range []struct {
		n      int64
		shards int
		want   int64
	}{{1000, 1, 1000}, {1000, 2, 590}, {500_000, 2, 252_000}, {1_000_000, 16, 63_500}} {
		if got := doctor.PerShard(c.n, c.shards); got != c.want {
			t.Errorf("%d on %d shards: %d each, want %d", c.n, c.shards, got, c.want)
		}
	}
}
