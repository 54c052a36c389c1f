package relay

// frames is a half's position in the WebSocket framing (RFC 6455 section 5.2),
// packed in one word: 3 bits of phase, 1 bit that says whether the frame ends a
// message, 1 bit that a Close frame has come, which stays, 3 bits of header bytes
// still needed, 56 bits of length. The bytes themselves are not kept. RSV bits and other
// opcodes are not judged: extensions give them meaning between the two ends.
type frames uint64

const (
	phaseShift  = 61
	endsMessage = 1 << 60
	closeCame   = 1 << 59
	marks       = endsMessage | closeCame
	needShift   = 56
	lengthMask  = 1<<needShift - 1
)

// The phases. phaseBlind is 0 so that a zeroed half is blind.
const (
	phaseBlind          = iota // not WebSocket framing, or not followed
	phaseStart                 // at a frame boundary
	phaseSecond                // the first byte was read
	phaseLength                // inside the extended length, no mask follows
	phaseLengthThenMask        // inside the extended length, a mask follows
	phaseMask                  // inside the masking key
	phasePayload               // inside the payload
)

func (f frames) phase() int   { return int(f >> phaseShift) }
func (f frames) left() uint64 { return uint64(f) & lengthMask }

// need is how many bytes a phase within a header needs, from 1 to 8; 8 is kept as 0.
func (f frames) need() int { return (int(f>>needShift)-1)&7 + 1 }

func pack(phase, need int, length uint64) frames {
	return frames(phase)<<phaseShift | frames(need&7)<<needShift | frames(length)
}

// payloadLeft is how many bytes of the current frame's payload are still to come.
func (f frames) payloadLeft() uint64 {
	if f.phase() == phasePayload {
		return f.left()
	}
	return 0
}

// follow advances over b and returns the number of messages that ended in it: a
// message ends with the payload of a data frame that has FIN set.
func (f *frames) follow(b []byte) (messages uint32) {
	cur := *f
	for len(b) > 0 {
		switch cur.phase() {
		case phaseBlind:
			*f = cur
			return messages
		case phaseStart:
			cur = cur&closeCame | pack(phaseSecond, 1, 0)
			if final, data := b[0]&0x80 != 0, b[0]&0x0F < 8; final && data {
				cur |= endsMessage
			}
			if b[0]&0x0F == opClose {
				cur |= closeCame
			}
			b = b[1:]
		case phaseSecond:
			cur, b = cur&marks|second(b[0]), b[1:]
			messages += cur.ended()
		case phaseLength, phaseLengthThenMask, phaseMask:
			cur, b = cur&marks|headerByte(cur, b[0]), b[1:]
			messages += cur.ended()
		case phasePayload:
			n := min(uint64(len(b)), cur.left())
			messages += cur.skip(n)
			b = b[n:]
		}
	}
	*f = cur
	return messages
}

// skip advances over n payload bytes, seen or not, and returns the number of
// messages that ended with them. Outside a payload it does nothing.
func (f *frames) skip(n uint64) (messages uint32) {
	if f.phase() != phasePayload {
		return 0
	}
	if left := f.left(); n < left {
		*f -= frames(n)
		return 0
	}
	*f = *f&marks | pack(phaseStart, 0, 0)
	return f.ended()
}

// ended takes the mark off a frame that has just come to its end; 1 if a message
// ended with it.
func (f *frames) ended() uint32 {
	if f.phase() != phaseStart || *f&endsMessage == 0 {
		return 0
	}
	*f &^= endsMessage
	return 1
}

// second reads the mask bit and the 7-bit length.
func second(c byte) frames {
	length, masked := uint64(c&0x7F), c&0x80 != 0
	switch {
	case length == 126 && masked:
		return pack(phaseLengthThenMask, 2, 0)
	case length == 126:
		return pack(phaseLength, 2, 0)
	case length == 127 && masked:
		return pack(phaseLengthThenMask, 8, 0)
	case length == 127:
		return pack(phaseLength, 8, 0)
	case masked:
		return pack(phaseMask, 4, length)
	}
	return payload(length)
}

// headerByte reads one byte of an extended length or of the masking key. A length
// past 2^56-1 can't be a frame anyone will finish: the half goes blind.
func headerByte(cur frames, c byte) frames {
	phase, need, length := cur.phase(), cur.need()-1, cur.left()
	if phase != phaseMask {
		if length > lengthMask>>8 {
			return pack(phaseBlind, 0, 0)
		}
		length = length<<8 | uint64(c)
	}
	switch {
	case need > 0:
		return pack(phase, need, length)
	case phase == phaseLengthThenMask:
		return pack(phaseMask, 4, length)
	}
	return payload(length)
}

func payload(length uint64) frames {
	if length == 0 {
		return pack(phaseStart, 0, 0)
	}
	return pack(phasePayload, 0, length)
}

// headerMax is the size of the longest header: two bytes, a length of eight, a mask.
const headerMax = 14

// headerOf is the size of the header that b begins with, and the length of its payload;
// size 0 if b is shorter than the header, or if the length is none that anyone will finish.
func headerOf(b []byte) (size int, payload uint64) {
	if len(b) < 2 {
		return 0, 0
	}
	size, payload = 2, uint64(b[1]&0x7F)
	extended := 0
	switch payload {
	case 126:
		extended = 2
	case 127:
		extended = 8
	}
	size += extended
	if b[1]&0x80 != 0 {
		size += 4
	}
	if len(b) < size {
		return 0, 0
	}
	if extended > 0 {
		payload = 0
		for _, c := range b[2 : 2+extended] {
			payload = payload<<8 | uint64(c)
		}
	}
	if payload > lengthMask {
		return 0, 0
	}
	return size, payload
}
