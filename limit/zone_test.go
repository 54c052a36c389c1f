package limit_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"holdfast/limit"
)

func open(t *testing.T, zs *limit.Zones, name string, size int64) *limit.Zone {
	t.Helper()
	z, err := zs.Open(name, "$key", size)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

func TestAcquireCountsUpToTheLimit(t *testing.T) {
	var zs limit.Zones
	z := open(t, &zs, "addr", 1<<20)
	var refs []limit.Ref
	for range 3 {
		ref, taken := z.Acquire([]byte("a"), 3)
		if taken != limit.Counted || ref == 0 {
			t.Fatalf("refused below the limit: %v %v", ref, taken)
		}
		refs = append(refs, ref)
	}
	if ref, taken := z.Acquire([]byte("a"), 3); taken != limit.Reached || ref != 0 {
		t.Fatalf("taken above the limit: %v %v", ref, taken)
	}
	other, taken := z.Acquire([]byte("b"), 1)
	if taken != limit.Counted || z.Len() != 2 {
		t.Fatalf("another key: %v, %d keys", taken, z.Len())
	}
	zs.Release(refs[1])
	if _, taken := z.Acquire([]byte("a"), 3); taken != limit.Counted {
		t.Fatal("refused after a release")
	}
	zs.Release(refs[0])
	zs.Release(refs[0])
	zs.Release(refs[2])
	zs.Release(other)
	zs.Release(0)
	if z.Len() != 0 {
		t.Errorf("%d keys are left", z.Len())
	}
}

func TestKeysThatAreNotCounted(t *testing.T) {
	var zs limit.Zones
	z := open(t, &zs, "z", 1<<20)
	if _, taken := z.Acquire(nil, 1); taken == limit.Counted {
		t.Error("an empty key was counted")
	}
	if _, taken := z.Acquire(make([]byte, limit.KeyMax+1), 1); taken == limit.Counted {
		t.Error("a key too long was counted")
	}
	if _, taken := z.Acquire(make([]byte, limit.KeyMax), 1); taken != limit.Counted {
		t.Error("the longest key was refused")
	}
	if _, taken := z.Acquire([]byte("x"), 0); taken == limit.Counted {
		t.Error("the limit 0 let one in")
	}
}

// TestFull proves that a full table refuses new keys, lets known ones count on, and takes
// new ones again when old ones are gone.
func TestFull(t *testing.T) {
	var zs limit.Zones
	z := open(t, &zs, "z", 32<<10)
	refs := map[string]limit.Ref{}
	refused := ""
	for i := range 5000 {
		key := fmt.Sprintf("%08d", i)
		ref, taken := z.Acquire([]byte(key), 9)
		if taken != limit.Counted {
			if taken != limit.Full {
				t.Fatalf("%s: %v", key, taken)
			}
			refused = key
			continue
		}
		refs[key] = ref
	}
	if n := z.Len(); n != 448 || n != len(refs) { // seven pages of 64 bytes each
		t.Fatalf("%d keys in 32 KiB, %d of them held", n, len(refs))
	}
	for key, ref := range refs {
		again, taken := z.Acquire([]byte(key), 9)
		if taken != limit.Counted {
			t.Fatalf("%s: a known key was refused by the full table", key)
		}
		zs.Release(again)
		zs.Release(ref)
	}
	if z.Len() != 0 {
		t.Fatalf("%d keys are left", z.Len())
	}
	if _, taken := z.Acquire([]byte(refused), 9); taken != limit.Counted {
		t.Error("the table is empty and refuses")
	}
}

// TestOpenKeepsCounts proves that what an earlier configuration counted goes on counting
// under the same name and size, and that another size is another table.
func TestOpenKeepsCounts(t *testing.T) {
	var zs limit.Zones
	ref, _ := open(t, &zs, "z", 1<<20).Acquire([]byte("k"), 1)
	if _, taken := open(t, &zs, "z", 1<<20).Acquire([]byte("k"), 1); taken == limit.Counted {
		t.Error("the count was lost")
	}
	if _, taken := open(t, &zs, "z", 2<<20).Acquire([]byte("k"), 1); taken != limit.Counted {
		t.Error("a table of another size shares its counts")
	}
	zs.Release(ref)
	if _, taken := open(t, &zs, "z", 1<<20).Acquire([]byte("k"), 1); taken != limit.Counted {
		t.Error("the release went to another table")
	}
}

// TestManyGoroutines proves that no key ever has more than its limit, and that nothing is
// left at the end.
func TestManyGoroutines(t *testing.T) {
	const keys, most, workers, rounds = 300, 5, 8, 4000
	var zs limit.Zones
	z := open(t, &zs, "z", 1<<20)
	var held [keys]atomic.Int32
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			random := rand.New(rand.NewPCG(uint64(w), 1))
			type hold struct {
				ref limit.Ref
				key int
			}
			var holds []hold
			drop := func() {
				at := random.IntN(len(holds))
				held[holds[at].key].Add(-1)
				zs.Release(holds[at].ref)
				holds[at] = holds[len(holds)-1]
				holds = holds[:len(holds)-1]
			}
			for range rounds {
				key := random.IntN(keys)
				if ref, taken := z.Acquire(fmt.Appendf(nil, "key %d", key), most); taken == limit.Counted {
					if n := held[key].Add(1); n > most {
						t.Errorf("key %d is held %d times", key, n)
					}
					holds = append(holds, hold{ref, key})
				}
				if len(holds) > 100 {
					drop()
				}
			}
			for len(holds) > 0 {
				drop()
			}
		})
	}
	group.Wait()
	if z.Len() != 0 {
		t.Errorf("%d keys are left", z.Len())
	}
}

func TestKnownKeysAllocateNothing(t *testing.T) {
	var zs limit.Zones
	z := open(t, &zs, "z", 1<<20)
	key := []byte("192.0.2.1")
	first, _ := z.Acquire(key, 10)
	zs.Release(first)
	if n := testing.AllocsPerRun(100, func() {
		ref, _ := z.Acquire(key, 10)
		again, _ := z.Acquire(key, 10)
		zs.Release(ref)
		zs.Release(again)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
