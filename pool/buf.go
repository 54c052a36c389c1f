package pool

// Buf is a lent byte buffer with a read and a write position: B[R:W] is what it
// holds. The owner of the index returns it with Put as soon as it is empty.
type Buf struct {
	B    []byte
	R, W int
}

// Bytes is what the buffer holds; it aliases the buffer.
func (b *Buf) Bytes() []byte { return b.B[b.R:b.W] }

// Len is the number of bytes held.
func (b *Buf) Len() int { return b.W - b.R }

// bufClasses are the sizes lent: request heads of 1 KiB by default, large header
// buffers of 8 KiB, and what a blocked receiver leaves of one 64 KiB read.
var bufClasses = [...]int{1 << 10, 2 << 10, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 128 << 10}

// freeBytesMax bounds the memory each class keeps for reuse.
const freeBytesMax = 1 << 20

// Bufs lends buffers by index. Index 0 is never lent: it means none.
type Bufs struct {
	table     []*Buf // by index; nil for a free index
	freeIndex []uint32
	free      [len(bufClasses)][]*Buf
	low       [len(bufClasses)]int // the fewest that were free since the last Trim
	freeTotal int                  // buffers on the free lists
	out       int
	bytes     int
	bytesMax  int
}

// NewBufs makes a pool that reports Full once bytesMax bytes are lent.
func NewBufs(bytesMax int) *Bufs {
	return &Bufs{table: make([]*Buf, 1), bytesMax: bytesMax}
}

// Get lends an empty buffer of at least size bytes. It never refuses: callers
// that can leave bytes in the kernel ask Full first.
func (p *Bufs) Get(size int) (uint32, *Buf) {
	b := p.take(size)
	p.out++
	p.bytes += len(b.B)
	if n := len(p.freeIndex); n > 0 {
		id := p.freeIndex[n-1]
		p.freeIndex = p.freeIndex[:n-1]
		p.table[id] = b
		return id, b
	}
	p.table = append(p.table, b)
	return uint32(len(p.table) - 1), b
}

func (p *Bufs) take(size int) *Buf {
	c := bufClass(size)
	if c == len(bufClasses) {
		return &Buf{B: make([]byte, size)}
	}
	if n := len(p.free[c]); n > 0 {
		b := p.free[c][n-1]
		p.free[c] = p.free[c][:n-1]
		p.low[c] = min(p.low[c], n-1)
		p.freeTotal--
		return b
	}
	return &Buf{B: make([]byte, bufClasses[c])}
}

// At is the buffer lent under id. It is valid until Put.
func (p *Bufs) At(id uint32) *Buf { return p.table[id] }

// Put takes a lent buffer back.
func (p *Bufs) Put(id uint32) {
	b := p.table[id]
	p.table[id] = nil
	p.freeIndex = append(p.freeIndex, id)
	p.out--
	p.bytes -= len(b.B)
	c := bufClass(len(b.B))
	if c == len(bufClasses) || bufClasses[c] != len(b.B) || len(p.free[c])*bufClasses[c] >= freeBytesMax {
		return
	}
	b.R, b.W = 0, 0
	p.free[c] = append(p.free[c], b)
	p.freeTotal++
}

// Full reports whether the lent bytes have reached the pool's limit.
func (p *Bufs) Full() bool { return p.bytes >= p.bytesMax }

// Lent is the number of buffers and bytes out.
func (p *Bufs) Lent() (count, bytes int) { return p.out, p.bytes }

// Trim drops half of what was kept for reuse and not used since the last call, and
// reports whether anything is left to trim. An idle shard calls it until nothing is; a
// busy one keeps what it needs.
func (p *Bufs) Trim() bool {
	for c := range p.free {
		keep := len(p.free[c]) - (p.low[c]+1)/2
		p.low[c] = keep
		for i := keep; i < len(p.free[c]); i++ {
			p.free[c][i] = nil
			p.freeTotal--
		}
		p.free[c] = p.free[c][:keep]
		if keep == 0 {
			p.free[c] = nil
		}
	}
	if p.out == 0 && p.freeTotal == 0 {
		p.table = make([]*Buf, 1)
		p.freeIndex = nil
	}
	return p.freeTotal > 0
}

func bufClass(size int) int {
	for c, s := range bufClasses {
		if size <= s {
			return c
		}
	}
	return len(bufClasses)
}
