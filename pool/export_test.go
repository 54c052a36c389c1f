package pool

// ChunksForTest is the number of chunks that hold memory.
func (s *Slab[T]) ChunksForTest() int {
	n := 0
	for _, c := range s.chunks {
		if c != nil {
			n++
		}
	}
	return n
}
