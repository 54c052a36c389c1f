package observe

const (
	// linesPerSecond is how often a shard writes the same message in a second.
	linesPerSecond = 10
	// classSlots is how many messages are told apart. Two that fall into one slot
	// take turns there, and then are limited less, never more.
	classSlots = 64

	nsPerSecond = 1_000_000_000
)

// limiter counts the lines of each message and second. Its zero value is ready.
type limiter struct {
	classes [classSlots]class
	pending int // classes with suppressed > 0
}

// class is one message in its latest second.
type class struct {
	message    string
	level      Level
	second     int64
	written    int
	suppressed uint64
}

// allow counts a line. ok tells whether it may be written; before is an earlier class
// or second whose suppressed lines are to be reported now, if it has any.
func (l *limiter) allow(nowNs int64, level Level, message string) (before class, ok bool) {
	c := &l.classes[slotOf(message)]
	second := nowNs / nsPerSecond
	if c.message != message || c.level != level || c.second != second {
		before = *c
		if before.suppressed > 0 {
			l.pending--
		}
		*c = class{message: message, level: level, second: second}
	}
	if c.written < linesPerSecond {
		c.written++
		return before, true
	}
	if c.suppressed == 0 {
		l.pending++
	}
	c.suppressed++
	return before, false
}

// over takes out one class with suppressed lines whose second is over.
func (l *limiter) over(nowNs int64) (class, bool) {
	for i := range l.classes {
		c := &l.classes[i]
		if c.suppressed > 0 && nowNs/nsPerSecond != c.second {
			result := *c
			c.suppressed = 0
			l.pending--
			return result, true
		}
	}
	return class{}, false
}

// slotOf is FNV-1a over the message.
func slotOf(message string) int {
	hash := uint32(2166136261)
	for i := range len(message) {
		hash = (hash ^ uint32(message[i])) * 16777619
	}
	return int((hash ^ hash>>16) % classSlots)
}
