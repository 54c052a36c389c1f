package pool_test

import (
	"math/rand/v2"
	"testing"

	"holdfast/pool"
)

type record struct{ a, _ uint64 }

func TestSlabHandleGoesStaleOnFree(t *testing.T) {
	var s pool.Slab[record]
	h, r := s.Alloc()
	r.a = 7
	if s.Get(h) != r {
		t.Fatal("a live handle does not find its record")
	}
	s.Free(h.Slot)
	if s.Get(h) != nil {
		t.Fatal("a freed handle still finds a record")
	}
	h2, r2 := s.Alloc()
	if h2.Slot != h.Slot || h2.Gen == h.Gen {
		t.Fatalf("reuse gave %+v after %+v, want the same slot and another generation", h2, h)
	}
	if r2.a != 0 {
		t.Fatal("a reused record is not zeroed")
	}
	if s.Get(h) != nil {
		t.Fatal("an old handle finds the slot's next use")
	}
}

func TestSlabAgainstModel(t *testing.T) {
	var s pool.Slab[record]
	rng := rand.New(rand.NewPCG(1, 2))
	live := map[pool.Handle]uint64{}
	var stale []pool.Handle
	for i := range 200_000 {
		grow := rng.IntN(100) < 50
		if (i/20_000)%2 == 0 {
			grow = rng.IntN(100) < 70
		}
		if grow || len(live) == 0 {
			h, r := s.Alloc()
			if _, dup := live[h]; dup {
				t.Fatalf("handle %+v given twice", h)
			}
			r.a = uint64(i)
			live[h] = uint64(i)
			continue
		}
		for h, v := range live {
			if got := s.Get(h); got == nil || got.a != v {
				t.Fatalf("handle %+v lost its record", h)
			}
			s.Free(h.Slot)
			delete(live, h)
			stale = append(stale, h)
			break
		}
	}
	if s.Len() != len(live) {
		t.Fatalf("Len %d, model %d", s.Len(), len(live))
	}
	for _, h := range stale {
		if s.Get(h) != nil {
			t.Fatalf("stale handle %+v revived", h)
		}
	}
	seen := 0
	s.Each(func(h pool.Handle, r *record) {
		seen++
		if live[h] != r.a {
			t.Fatalf("Each gave %+v with a foreign record", h)
		}
	})
	if seen != len(live) {
		t.Fatalf("Each visited %d of %d", seen, len(live))
	}
}

func TestSlabShrinksWhateverTheOrder(t *testing.T) {
	for _, reverse := range []bool{false, true} {
		var s pool.Slab[record]
		var hs []pool.Handle
		for range 10_000 {
			h, _ := s.Alloc()
			hs = append(hs, h)
		}
		for i := range hs {
			j := i
			if reverse {
				j = len(hs) - 1 - i
			}
			s.Free(hs[j].Slot)
		}
		if n := s.ChunksForTest(); n > 1 {
			t.Errorf("reverse=%v: %d chunks are kept for no record", reverse, n)
		}
	}
}

func TestSlabSteadyStateDoesNotAllocate(t *testing.T) {
	var s pool.Slab[record]
	h, _ := s.Alloc()
	s.Free(h.Slot)
	if n := testing.AllocsPerRun(1000, func() {
		h, _ := s.Alloc()
		s.Free(h.Slot)
	}); n != 0 {
		t.Fatalf("%v allocations for one use of a slot", n)
	}
}

func TestNextVisitsEveryLiveRecord(t *testing.T) {
	var s pool.Slab[record]
	var at uint32
	if s.Next(&at) != nil {
		t.Fatal("a record in an empty slab")
	}
	var hs []pool.Handle
	for range 5000 {
		h, r := s.Alloc()
		r.a = uint64(h.Slot)
		hs = append(hs, h)
	}
	// What stays: both ends of a chunk, neighbours, one in the last chunk; whole chunks go.
	stays := map[uint32]bool{0: true, 1023: true, 1024: true, 1025: true, 4096: true, 4999: true}
	for _, h := range hs {
		if !stays[h.Slot] {
			s.Free(h.Slot)
		}
	}
	for _, start := range []uint32{0, 1, 1022, 1023, 3000, 4999, 5119} {
		at, seen := start, map[uint32]bool{}
		for range stays {
			r := s.Next(&at)
			if r == nil || r.a != uint64(at) || seen[at] {
				t.Fatalf("from %d: record %v behind slot %d, seen %v", start, r, at, seen)
			}
			seen[at] = true
		}
		if len(seen) != len(stays) {
			t.Fatalf("from %d: %v", start, seen)
		}
	}
	for slot := range stays {
		s.Free(slot)
	}
	if s.Next(&at) != nil {
		t.Fatal("a record where none lives")
	}
}

func TestSlabOfUnknownSlots(t *testing.T) {
	var s pool.Slab[record]
	h, r := s.Alloc()
	if s.At(h.Slot) != r || s.Gen(h.Slot) != h.Gen || h.Gen == 0 {
		t.Fatalf("%+v, generation %d", h, s.Gen(h.Slot))
	}
	for _, bad := range []pool.Handle{{Slot: 1 << 20, Gen: 1}, {Slot: h.Slot, Gen: 0}, {Slot: h.Slot + 1, Gen: 0},
		{Slot: h.Slot, Gen: h.Gen + 1}} {
		if s.Get(bad) != nil {
			t.Errorf("%+v names a record", bad)
		}
	}
	if s.Gen(1<<20) != 0 || s.Gen(h.Slot+1) != 0 {
		t.Error("a generation where nothing lives")
	}
}

// TestEachMayFree what it is given, to the last record.
func TestEachMayFree(t *testing.T) {
	var s pool.Slab[record]
	for range 3000 {
		s.Alloc()
	}
	n := 0
	s.Each(func(h pool.Handle, _ *record) { n++; s.Free(h.Slot) })
	if n != 3000 || s.Len() != 0 || s.ChunksForTest() > 1 {
		t.Fatalf("%d visited, %d left in %d chunks", n, s.Len(), s.ChunksForTest())
	}
}

// TestSlabKeepsOneChunkAtItsEdge: a load that comes and goes there does not allocate.
func TestSlabKeepsOneChunkAtItsEdge(t *testing.T) {
	var s pool.Slab[record]
	for range 1024 {
		s.Alloc()
	}
	if n := testing.AllocsPerRun(100, func() {
		h, _ := s.Alloc()
		s.Free(h.Slot)
	}); n != 0 {
		t.Fatalf("%v allocations at the edge of a chunk", n)
	}
}
