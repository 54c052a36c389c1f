// Package wheel is a hierarchical timer wheel for one thread. The time is an
// argument of every call; nothing is allocated; the list links live in the
// caller's own records, so an armed timer costs no memory but its Link.
//
// Six levels of 64 buckets each: a bucket of level l spans 64^l ticks. A timer
// sits at the level of the highest base-64 digit in which its deadline differs
// from the current tick, so every occupied bucket lies ahead of the current tick
// and the lowest occupied bucket of the lowest occupied level is the next thing
// to happen. One bitmap a level finds it without a scan. When a bucket above
// level 0 is reached, its timers move down (cascade): at most once a level.
package wheel

import "math/bits"

const (
	// TickMs is the granularity in milliseconds. A deadline is rounded up to a
	// whole tick, so a timer is never early and less than TickMs late.
	TickMs = 16
	// MaxAheadMs is the farthest deadline from now, in milliseconds (397 days).
	// A deadline beyond it fires then.
	MaxAheadMs = maxAheadTicks * TickMs
	// MaxID is the highest id that can be armed.
	MaxID = 1<<31 - 2

	maxAheadTicks = 1<<31 - 2

	digitBits = 6
	slots     = 1 << digitBits
	levels    = 6 // 64^6 ticks: 34 years of uptime before the top level wraps
	buckets   = levels*slots + 1
	dueBucket = levels * slots // timers whose deadline had passed when they were placed
	headMark  = 1 << 31        // in Link.Prev: the low bits name the bucket this link heads
	slotMask  = slots - 1
)

// Link is the timer's place in the wheel. It is embedded in the caller's record;
// its zero value means not armed. Its fields belong to the wheel.
type Link struct {
	Next     uint32 // id + 1 of the next timer in the bucket; 0: none
	Prev     uint32 // id + 1 of the previous timer, or headMark|bucket; 0: not armed
	Deadline uint32 // the low 32 bits of the deadline in ticks since New
}

// Armed tells whether the timer is set.
func (l *Link) Armed() bool { return l.Prev != 0 }

// Wheel holds timers named by id. It is not safe for concurrent use.
type Wheel struct {
	at      func(id uint32) *Link
	startMs int64
	current uint64 // tick up to which everything has been expired
	armed   int
	// occupied has one bit for each bucket of a level that holds a timer.
	occupied [levels]uint64
	heads    [buckets]uint32 // id + 1 of the first timer; 0: empty
}

// New returns an empty wheel. at gives the link of an id; it must return the same
// memory as long as the id is armed. nowMs is any monotonic clock in milliseconds;
// every later nowMs and deadline are on the same clock.
func New(at func(id uint32) *Link, nowMs int64) *Wheel {
	return &Wheel{at: at, startMs: nowMs}
}

// Len is the number of armed timers.
func (w *Wheel) Len() int { return w.armed }

// Set arms id to expire at deadlineMs, or moves it there if it is armed. It fires
// in the first Expire call whose time has reached the deadline rounded up to a
// whole tick; a deadline in the past fires in the next call.
func (w *Wheel) Set(id uint32, deadlineMs int64) {
	link := w.at(id)
	deadline := w.deadlineTick(deadlineMs)
	if link.Prev != 0 {
		if link.Deadline == uint32(deadline) {
			return
		}
		w.unlink(link)
		w.armed--
	}
	w.place(id, link, deadline)
	w.armed++
}

// Cancel disarms id. It does nothing if id is not armed, also when id was
// expired by the Expire call whose result is being worked off.
func (w *Wheel) Cancel(id uint32) {
	link := w.at(id)
	if link.Prev == 0 {
		return
	}
	w.unlink(link)
	w.armed--
}

// Expire disarms every timer whose deadline has come and appends its id to dst,
// in no particular order between equal deadlines. It allocates only if dst lacks
// room. A caller that cancels or re-arms other timers while it works off the
// result checks each id for whether its expiry still matters.
func (w *Wheel) Expire(nowMs int64, dst []uint32) []uint32 {
	target := w.tickAt(nowMs)
	for {
		if w.heads[dueBucket] != 0 {
			dst = w.drain(dueBucket, dst)
		}
		bucket, start := w.next()
		if bucket < 0 || start > target {
			break
		}
		w.current = start
		if bucket < slots {
			dst = w.drain(bucket, dst)
		} else {
			w.cascade(bucket)
		}
	}
	w.current = max(w.current, target)
	return dst
}

// NextWaitMs is how many milliseconds may pass after nowMs before the next Expire
// call has work: 0 if it has some now, -1 if no timer is armed. For a distant timer
// it ends at a bucket's border, where Expire only cascades: at most one such wake
// for each level above the first.
func (w *Wheel) NextWaitMs(nowMs int64) int {
	if w.heads[dueBucket] != 0 {
		return 0
	}
	bucket, start := w.next()
	if bucket < 0 {
		return -1
	}
	wait := w.startMs + int64(start)*TickMs - nowMs
	// The bound keeps the result an argument for epoll_wait, which takes an int32.
	return int(min(max(wait, 0), 1<<31-1))
}

// tickAt is the last whole tick at nowMs; the current one if the clock went back.
func (w *Wheel) tickAt(nowMs int64) uint64 {
	if nowMs <= w.startMs {
		return w.current
	}
	return max(uint64(nowMs-w.startMs)/TickMs, w.current)
}

// deadlineTick is the first tick not before deadlineMs, within the range that 32
// bits can tell apart from the current tick.
func (w *Wheel) deadlineTick(deadlineMs int64) uint64 {
	if deadlineMs <= w.startMs {
		return w.current
	}
	tick := (uint64(deadlineMs-w.startMs) + TickMs - 1) / TickMs
	return min(max(tick, w.current), w.current+maxAheadTicks)
}

// next is the earliest occupied bucket and the tick at which it begins, or -1.
func (w *Wheel) next() (bucket int, start uint64) {
	for level, occupied := range w.occupied {
		if occupied == 0 {
			continue
		}
		slot := bits.TrailingZeros64(occupied)
		shift := uint(level * digitBits)
		above := w.current >> (shift + digitBits) << (shift + digitBits)
		return level*slots + slot, above | uint64(slot)<<shift
	}
	return -1, 0
}

// place puts an unlinked timer into the bucket of its deadline.
func (w *Wheel) place(id uint32, link *Link, deadline uint64) {
	bucket := dueBucket
	if deadline > w.current {
		level := (bits.Len64(deadline^w.current) - 1) / digitBits
		slot := int(deadline>>(level*digitBits)) & slotMask
		bucket = level*slots + slot
		w.occupied[level] |= 1 << slot
	}
	first := w.heads[bucket]
	*link = Link{Next: first, Prev: headMark | uint32(bucket), Deadline: uint32(deadline)}
	if first != 0 {
		w.at(first - 1).Prev = id + 1
	}
	w.heads[bucket] = id + 1
}

// unlink takes an armed timer out of its bucket and zeroes its link.
func (w *Wheel) unlink(link *Link) {
	next, prev := link.Next, link.Prev
	*link = Link{}
	if next != 0 {
		w.at(next - 1).Prev = prev
	}
	if prev&headMark == 0 {
		w.at(prev - 1).Next = next
		return
	}
	bucket := prev &^ headMark
	w.heads[bucket] = next
	if next == 0 && bucket != dueBucket {
		w.occupied[bucket/slots] &^= 1 << (bucket % slots)
	}
}

// detach empties a bucket and returns its first timer as id + 1.
func (w *Wheel) detach(bucket int) uint32 {
	first := w.heads[bucket]
	w.heads[bucket] = 0
	if bucket != dueBucket {
		w.occupied[bucket/slots] &^= 1 << (bucket % slots)
	}
	return first
}

// drain disarms a bucket's timers and appends their ids to dst.
func (w *Wheel) drain(bucket int, dst []uint32) []uint32 {
	for at := w.detach(bucket); at != 0; {
		link := w.at(at - 1)
		dst = append(dst, at-1)
		at = link.Next
		*link = Link{}
		w.armed--
	}
	return dst
}

// cascade moves the timers of a bucket that the current tick has reached to the
// levels below it.
func (w *Wheel) cascade(bucket int) {
	for at := w.detach(bucket); at != 0; {
		link := w.at(at - 1)
		next := link.Next
		ahead := link.Deadline - uint32(w.current)
		w.place(at-1, link, w.current+uint64(ahead))
		at = next
	}
}
