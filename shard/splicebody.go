package shard

import (
	"holdfast/httpparse"
	"holdfast/internal/sys"
	"holdfast/relay"
)

// spliceBodyAbove is how much of a body must be left for a splice to pay, in bytes.
const spliceBodyAbove = 256 << 10

// splices reports whether what comes next of a body may go through a pipe: it has a
// length, so that nothing behind it is moved, needs no coding, and is long.
func (f *flow) splices(from, to *relay.Half) bool {
	return !secured(from, to) && f.framing.Kind == httpparse.BodyLength && !f.rechunk && f.left > spliceBodyAbove &&
		f.unpaced() && !f.pending() && to.Bits&relay.CanWrite != 0
}

// spliceBody moves body bytes from one socket to the other without copying them
// (splice(2)). moved is how many left the source; with 0 the caller reads, which tells
// what that means. ok is false if the destination failed.
func (sh *Shard) spliceBody(from, to *relay.Half, f *flow) (moved int, ok bool) {
	id, lent := sh.pipes.Get()
	if !lent {
		return 0, true
	}
	pipe := sh.pipes.At(id)
	n, errno := sys.Splice(from.FD, pipe.W, int(min(int64(pipe.Room), f.left)))
	if errno != 0 || n == 0 {
		sh.pipes.Put(id)
		return 0, true
	}
	pipe.Held = n
	f.pipe = id
	f.left -= int64(n)
	f.read += int64(n)
	_, ok = sh.drainPipe(to, f)
	return n, ok
}

// drainPipe splices what f's pipe holds into the destination, and gives the pipe back
// when it is empty. done and ok are those of flush.
func (sh *Shard) drainPipe(to *relay.Half, f *flow) (done, ok bool) {
	pipe := sh.pipes.At(f.pipe)
	for pipe.Held > 0 {
		if to.Bits&relay.CanWrite == 0 {
			return false, true
		}
		n, errno := sys.Splice(pipe.R, to.FD, pipe.Held)
		switch {
		case errno == sys.EAGAIN:
			to.Bits &^= relay.CanWrite
			return false, true
		case errno != 0 || n == 0:
			to.Err = uint8(errno)
			return false, false
		}
		pipe.Held -= n
		f.sent += int64(n)
	}
	sh.pipes.Put(f.pipe)
	f.pipe = 0
	return true, true
}
