package pool_test

import (
	"math/rand/v2"
	"os"
	"testing"

	"holdfast/internal/assert"
	"holdfast/internal/sys"
	"holdfast/pool"
)

func TestBufsLendAndCount(t *testing.T) {
	p := pool.NewBufs(100 << 10)
	id, b := p.Get(1000)
	if id == 0 || len(b.B) != 1024 || p.At(id) != b {
		t.Fatalf("Get(1000): id %d, %d bytes", id, len(b.B))
	}
	id2, b2 := p.Get(65_537)
	if len(b2.B) < 65_537 {
		t.Fatalf("Get(65537) gave %d bytes", len(b2.B))
	}
	if !p.Full() {
		t.Fatal("past its limit the pool does not say so")
	}
	p.Put(id2)
	p.Put(id)
	if n, bytes := p.Lent(); n != 0 || bytes != 0 {
		t.Fatalf("all returned, yet %d buffers and %d bytes are out", n, bytes)
	}
	if id3, b3 := p.Get(10); b3 != b || b3.Len() != 0 || id3 == 0 {
		t.Fatal("a returned buffer is not lent again, empty")
	}
}

func TestBufsSteadyStateDoesNotAllocate(t *testing.T) {
	p := pool.NewBufs(1 << 20)
	id, _ := p.Get(4096)
	p.Put(id)
	if n := testing.AllocsPerRun(1000, func() {
		id, _ := p.Get(4096)
		p.Put(id)
	}); n != 0 {
		t.Fatalf("%v allocations for one loan", n)
	}
}

func TestBufsTrimEndsEmpty(t *testing.T) {
	p := pool.NewBufs(1 << 20)
	var ids []uint32
	for range 100 {
		id, _ := p.Get(8192)
		ids = append(ids, id)
	}
	for _, id := range ids {
		p.Put(id)
	}
	for i := 0; p.Trim(); i++ {
		if i > 20 {
			t.Fatal("Trim never ends")
		}
	}
}

// TestBufsTrimKeepsWhatIsUsed: what was lent since the last Trim stays, so that a steady
// load doesn't allocate the same buffer anew each second.
func TestBufsTrimKeepsWhatIsUsed(t *testing.T) {
	p := pool.NewBufs(1 << 20)
	use := func() *pool.Buf {
		id, b := p.Get(8192)
		p.Put(id)
		return b
	}
	first := use()
	for range 5 {
		if !p.Trim() {
			t.Fatal("nothing is left to trim")
		}
		if use() != first {
			t.Fatal("a buffer in use was given up")
		}
	}
}

func TestPipeWithBytesIsNeverReused(t *testing.T) {
	p := pool.NewPipes(2)
	id, ok := p.Get()
	if !ok {
		t.Skip("the kernel gives no pipe here")
	}
	pipe := p.At(id)
	if pipe.Room < 4096 {
		t.Fatalf("room %d", pipe.Room)
	}
	w := pipe.W
	pipe.Held = 3
	p.Put(id)
	if e := sys.Close(w); e == 0 {
		t.Fatal("a pipe that held bytes was kept open")
	}
	a, _ := p.Get()
	b, ok := p.Get()
	if !ok || a == b {
		t.Fatalf("two loans: %d %d %v", a, b, ok)
	}
	if _, ok := p.Get(); ok {
		t.Fatal("a loan past the limit")
	}
	p.Put(a)
	p.Put(b)
	p.Trim()
	if p.Lent() != 0 {
		t.Fatal("loans remain")
	}
}

// TestBufsAgainstModel lends and takes back at random: no buffer is lent twice at a time,
// all are empty and large enough, and the account is right.
func TestBufsAgainstModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	p := pool.NewBufs(1 << 20)
	type loan struct {
		buf  *pool.Buf
		mark byte
	}
	lent := map[uint32]loan{}
	total := 0
	for i := range 20_000 {
		if rng.IntN(2) == 0 || len(lent) == 0 {
			size := 1 + rng.IntN(1<<uint(rng.IntN(18)))
			id, b := p.Get(size)
			if _, twice := lent[id]; twice || id == 0 || b.Len() != 0 || len(b.B) < size {
				t.Fatalf("Get(%d): id %d lent already: %v; %d bytes, %d held", size, id, twice, len(b.B), b.Len())
			}
			b.B[0], b.B[len(b.B)-1], b.W = byte(i), byte(i), len(b.B)
			lent[id] = loan{b, byte(i)}
			total += len(b.B)
		}
		for id, l := range lent {
			if b := p.At(id); b != l.buf || b.Bytes()[0] != l.mark || b.Bytes()[b.Len()-1] != l.mark {
				t.Fatalf("buffer %d is not what it was", id)
			}
			if rng.IntN(2) == 0 {
				total -= len(l.buf.B)
				l.buf.R = rng.IntN(l.buf.W)
				p.Put(id)
				delete(lent, id)
			}
			break
		}
		if rng.IntN(500) == 0 {
			p.Trim()
		}
		if n, bytes := p.Lent(); n != len(lent) || bytes != total || p.Full() != (total >= 1<<20) {
			t.Fatalf("%d buffers, %d bytes, full %v; model %d, %d", n, bytes, p.Full(), len(lent), total)
		}
	}
}

func TestBufsKeepsABoundedReserve(t *testing.T) {
	p := pool.NewBufs(1 << 30)
	var ids []uint32
	for range 100 {
		id, _ := p.Get(128 << 10)
		ids = append(ids, id)
	}
	for _, id := range ids {
		p.Put(id)
	}
	seen := map[*pool.Buf]bool{}
	if n := testing.AllocsPerRun(1, func() {
		for range 8 { // 1 MiB of this size is kept
			id, b := p.Get(128 << 10)
			seen[b] = true
			p.Put(id)
		}
	}); n != 0 || len(seen) != 1 {
		t.Fatalf("%v allocations, %d buffers", n, len(seen))
	}
	// A size of no class is never kept.
	id, odd := p.Get(200_000)
	p.Put(id)
	id, other := p.Get(200_000)
	if odd == other {
		t.Fatal("a buffer past the largest class was kept")
	}
	p.Put(id)
}

func TestPipesKeptForReuseAreBounded(t *testing.T) {
	p := pool.NewPipes(80)
	var ids []uint32
	for range 80 {
		id, ok := p.Get()
		if !ok {
			t.Skip("the kernel gives no more pipes here")
		}
		ids = append(ids, id)
	}
	before := openFiles(t)
	for _, id := range ids {
		p.Put(id)
	}
	if closed := before - openFiles(t); closed != 2*(80-64) {
		t.Errorf("%d descriptors were closed, want those of 16 pipes", closed)
	}
	p.Trim()
	if closed := before - openFiles(t); closed != 2*80 {
		t.Errorf("%d descriptors were closed, want all of 80 pipes", closed)
	}
	// Indexes of returned loans are lent again.
	id, ok := p.Get()
	if !ok || id == 0 || id > 80 {
		t.Errorf("index %d, %v", id, ok)
	}
	p.Put(id)
	p.Trim()
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(list)
}

func TestReturnedTwiceIsFound(t *testing.T) {
	twice := func(name string, put func()) {
		defer func() {
			if recover() == nil {
				t.Errorf("%s was returned twice", name)
			}
		}()
		put()
		put()
	}
	bufs := pool.NewBufs(1 << 20)
	id, _ := bufs.Get(10)
	twice("a buffer", func() { bufs.Put(id) })
	if !assert.On {
		t.Skip("the others are found by assertions; run with -tags verify")
	}
	pipes := pool.NewPipes(1)
	if pipe, ok := pipes.Get(); ok {
		twice("a pipe", func() { pipes.Put(pipe) })
		pipes.Trim()
	}
	var s pool.Slab[record]
	h, _ := s.Alloc()
	s.Alloc()
	twice("a slot", func() { s.Free(h.Slot) })
}
