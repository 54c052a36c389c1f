// Package pool holds the memory a shard lends out: records in a slab, byte
// buffers, and splice pipes. Everything here belongs to one shard and is used
// from its thread only: no locks. What is lent has an index, not a pointer, so
// that the records that remember it stay free of pointers.
package pool

import "holdfast/internal/assert"

// chunkBits sets the slab's chunk: 1,024 records, allocated and released at once.
const (
	chunkBits = 10
	chunkSize = 1 << chunkBits
	chunkMask = chunkSize - 1
)

// Handle names one use of one slab slot. It goes stale when the slot is freed:
// generations are never used twice within 2^31 allocations of a slab.
type Handle struct {
	Slot uint32
	Gen  uint32 // 1 to 2^31-1
}

// Slab is a growing array of records at fixed addresses. T must hold no pointers
// for the garbage collector to skip it. Chunks that stand empty are given back,
// so a slab shrinks after a storm.
type Slab[T any] struct {
	chunks []*chunk[T]
	first  int // no chunk before this one has a free slot
	spare  int // 1 + the one chunk that stands empty, 0: none does
	live   int
	gen    uint32
}

type chunk[T any] struct {
	records [chunkSize]T
	gens    [chunkSize]uint32 // 0: free
	free    [chunkSize]uint16 // stack of free slots
	freeLen int
}

// Alloc returns a zeroed record and the handle that names it.
func (s *Slab[T]) Alloc() (Handle, *T) {
	for s.first < len(s.chunks) && s.chunks[s.first] != nil && s.chunks[s.first].freeLen == 0 {
		s.first++
	}
	if s.first == len(s.chunks) {
		s.chunks = append(s.chunks, nil)
	}
	c := s.chunks[s.first]
	if c == nil {
		c = newChunk[T]()
		s.chunks[s.first] = c
	}
	if s.spare == s.first+1 {
		s.spare = 0
	}
	c.freeLen--
	i := uint32(c.free[c.freeLen])
	s.gen = s.gen%(1<<31-1) + 1
	c.gens[i] = s.gen
	s.live++
	return Handle{Slot: uint32(s.first)<<chunkBits | i, Gen: s.gen}, &c.records[i]
}

func newChunk[T any]() *chunk[T] {
	c := &chunk[T]{freeLen: chunkSize}
	for i := range c.free {
		c.free[i] = uint16(chunkMask - i) // lowest slot on top
	}
	return c
}

// Get returns the record h names, or nil if h is stale.
func (s *Slab[T]) Get(h Handle) *T {
	ci := int(h.Slot >> chunkBits)
	if ci >= len(s.chunks) || s.chunks[ci] == nil {
		return nil
	}
	c := s.chunks[ci]
	if c.gens[h.Slot&chunkMask] != h.Gen || h.Gen == 0 {
		return nil
	}
	return &c.records[h.Slot&chunkMask]
}

// At returns the record of a slot that is known to be live.
func (s *Slab[T]) At(slot uint32) *T {
	return &s.chunks[slot>>chunkBits].records[slot&chunkMask]
}

// Gen is the generation of a slot, 0 if it is free.
func (s *Slab[T]) Gen(slot uint32) uint32 {
	ci := int(slot >> chunkBits)
	if ci >= len(s.chunks) || s.chunks[ci] == nil {
		return 0
	}
	return s.chunks[ci].gens[slot&chunkMask]
}

// Free ends the use of a live slot: its handle is stale from now on, its record
// zeroed. At most one chunk without live records is kept, so that a load that
// comes and goes at its edge doesn't allocate.
func (s *Slab[T]) Free(slot uint32) {
	ci, i := int(slot>>chunkBits), slot&chunkMask
	c := s.chunks[ci]
	assert.That(c.gens[i] != 0, "the slot is live")
	var zero T
	c.records[i] = zero
	c.gens[i] = 0
	c.free[c.freeLen] = uint16(i)
	c.freeLen++
	s.live--
	if ci < s.first {
		s.first = ci
	}
	if c.freeLen == chunkSize {
		s.keepOneEmpty(ci)
	}
}

// keepOneEmpty notes that chunk ci stands empty and releases the higher one where
// two do.
func (s *Slab[T]) keepOneEmpty(ci int) {
	if s.spare == 0 {
		s.spare = ci + 1
		return
	}
	low, high := min(ci, s.spare-1), max(ci, s.spare-1)
	s.chunks[high] = nil
	s.spare = low + 1
}

// Slots is a bound of the slots in use: none has this number or a higher one.
func (s *Slab[T]) Slots() int { return len(s.chunks) << chunkBits }

// Len is the number of live records.
func (s *Slab[T]) Len() int { return s.live }

// Each calls f for every live record, in slot order. f may free the record it is
// given and no other.
func (s *Slab[T]) Each(f func(h Handle, r *T)) {
	for ci, c := range s.chunks {
		if c == nil {
			continue
		}
		for i := range c.gens {
			if g := c.gens[i]; g != 0 {
				f(Handle{Slot: uint32(ci)<<chunkBits | uint32(i), Gen: g}, &c.records[i])
			}
		}
	}
}
