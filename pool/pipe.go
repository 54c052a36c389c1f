package pool

import (
	"holdfast/internal/assert"
	"holdfast/internal/sys"
)

// pipeSize is the room asked of a pipe: what one splice can move at best.
const pipeSize = 256 << 10

// pipesKept bounds the empty pipes kept for reuse.
const pipesKept = 64

// Pipe is a kernel pipe on loan for splice(2). Held counts the bytes inside.
type Pipe struct {
	R, W int32
	Room int // bytes, as the kernel granted; a splice may still find it full earlier
	Held int
}

// Pipes lends pipes by index. Index 0 is never lent: it means none. A pipe that
// comes back with bytes in it is closed, never reused.
type Pipes struct {
	table     []Pipe
	freeIndex []uint32
	kept      []Pipe
	out       int
	outMax    int
}

// NewPipes makes a pool that lends at most outMax pipes at a time.
func NewPipes(outMax int) *Pipes {
	return &Pipes{table: make([]Pipe, 1), outMax: outMax}
}

// Get lends an empty pipe; ok is false when the limit is reached or the kernel
// refuses one. The caller then copies instead.
func (p *Pipes) Get() (id uint32, ok bool) {
	if p.out >= p.outMax {
		return 0, false
	}
	var pipe Pipe
	if n := len(p.kept); n > 0 {
		pipe = p.kept[n-1]
		p.kept = p.kept[:n-1]
	} else {
		r, w, room, errno := sys.Pipe(pipeSize)
		if errno != 0 {
			return 0, false
		}
		pipe = Pipe{R: r, W: w, Room: room}
	}
	p.out++
	if n := len(p.freeIndex); n > 0 {
		id = p.freeIndex[n-1]
		p.freeIndex = p.freeIndex[:n-1]
		p.table[id] = pipe
		return id, true
	}
	p.table = append(p.table, pipe)
	return uint32(len(p.table) - 1), true
}

// At is the pipe lent under id, valid until the next Get or Put.
func (p *Pipes) At(id uint32) *Pipe { return &p.table[id] }

// Put takes a lent pipe back.
func (p *Pipes) Put(id uint32) {
	pipe := p.table[id]
	assert.That(pipe.Room != 0, "the pipe is lent")
	p.table[id] = Pipe{}
	p.freeIndex = append(p.freeIndex, id)
	p.out--
	if pipe.Held != 0 || len(p.kept) >= pipesKept {
		closePipe(pipe)
		return
	}
	p.kept = append(p.kept, pipe)
}

// Lent is the number of pipes out.
func (p *Pipes) Lent() int { return p.out }

// Trim closes the pipes kept for reuse.
func (p *Pipes) Trim() {
	for _, pipe := range p.kept {
		closePipe(pipe)
	}
	p.kept = nil
}

func closePipe(p Pipe) {
	sys.Close(p.R)
	sys.Close(p.W)
}
