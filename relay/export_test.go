package relay

// FollowForTest advances over b as if it had been read.
func (h *Half) FollowForTest(b []byte) { h.Messages += h.frames.follow(b) }

// SkipForTest advances over n bytes as if they had been spliced.
func (h *Half) SkipForTest(n int) { h.Messages += h.frames.skip(uint64(n)) }

// PayloadLeftForTest is what is left of the current frame's payload.
func (h *Half) PayloadLeftForTest() uint64 { return h.frames.payloadLeft() }

// BlindForTest reports whether the half does not follow frames.
func (h *Half) BlindForTest() bool { return h.frames.phase() == phaseBlind }

// NoSpliceForTest reports whether the half has given up splicing.
func (h *Half) NoSpliceForTest() bool { return h.full == noSplice }

// FullReads is how many full reads the half has seen in a row, two at most.
func (h *Half) FullReads() uint8 { return h.full }

// FullReadsForTest sets how many full reads a half has seen in a row.
func (h *Half) FullReadsForTest(n uint8) { h.full = n }

// Framed is the value of FullReads while large frames are spliced one after another.
const Framed = framed

// HeaderOfForTest is headerOf.
func HeaderOfForTest(b []byte) (size int, payload uint64) { return headerOf(b) }
