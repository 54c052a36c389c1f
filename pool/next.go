package pool

// Next returns the live record behind slot *at, wrapping around at the end, and
// moves *at to it; nil if there is none. It lets a search go on where the last one
// ended.
func (s *Slab[T]) Next(at *uint32) *T {
	total := len(s.chunks) << chunkBits
	slot := int(*at) + 1
	for left := total; left > 0; {
		if slot >= total {
			slot = 0
		}
		c := s.chunks[slot>>chunkBits]
		if c == nil { // a whole chunk in one step: after a storm most are gone
			next := (slot | chunkMask) + 1
			left -= next - slot
			slot = next
			continue
		}
		if c.gens[slot&chunkMask] != 0 {
			*at = uint32(slot)
			return &c.records[slot&chunkMask]
		}
		slot++
		left--
	}
	return nil
}
