package config

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// Hints for values that are no number, size or time.
const (
	hintNumber = "write a number"
	hintSize   = "write a size such as 512, 8k or 1m"
	hintTime   = "write a time such as 60s, 1m30s or 500ms"
)

// isFlag says whether a value is on or off; nginx ignores the case.
func isFlag(s string) bool { return strings.EqualFold(s, "on") || strings.EqualFold(s, "off") }

// isOn reads a value that isFlag accepted.
func isOn(s string) bool { return strings.EqualFold(s, "on") }

// parseNumber reads digits only, as nginx does: no sign, no blanks.
func parseNumber(s string) (int64, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// parseInt is parseNumber with a lower bound, for values that become an int.
func parseInt(s string, least int) (int, bool) {
	n, ok := parseNumber(s)
	return int(n), ok && n >= int64(least) && n <= math.MaxInt32
}

// parseSize reads a size in bytes, with k, m or g behind it.
func parseSize(s string) (int64, bool) {
	if s == "" {
		return 0, false
	}
	shift := 0
	switch s[len(s)-1] {
	case 'k', 'K':
		shift = 10
	case 'm', 'M':
		shift = 20
	case 'g', 'G':
		shift = 30
	}
	if shift > 0 {
		s = s[:len(s)-1]
	}
	n, ok := parseNumber(s)
	if !ok || n > math.MaxInt64>>shift {
		return 0, false
	}
	return n << shift, true
}

// timeUnits are nginx's units, largest first: a time names each at most once, in
// this order. A month is 30 days and a year 365.
var timeUnits = []struct {
	suffix string
	unit   time.Duration
}{
	{"y", 365 * 24 * time.Hour},
	{"M", 30 * 24 * time.Hour},
	{"w", 7 * 24 * time.Hour},
	{"d", 24 * time.Hour},
	{"h", time.Hour},
	{"m", time.Minute},
	{"s", time.Second},
	{"ms", time.Millisecond},
}

// timeMax is what longer times mean: forever, and yet safe to add to a clock.
const timeMax = 100 * 365 * 24 * time.Hour

// parseTime reads a time: numbers with units, blanks between them allowed, and a
// last number without unit meaning seconds.
func parseTime(s string) (time.Duration, bool) {
	var total time.Duration
	if s == "" {
		return 0, false
	}
	for next := 0; s != ""; {
		digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
		n, ok := parseNumber(s[:digits])
		if !ok {
			return 0, false
		}
		s = s[digits:]
		letters := len(s) - len(strings.TrimLeft(s, "yMwdhms"))
		suffix := s[:letters]
		s = strings.TrimLeft(s[letters:], " ")
		if suffix == "" {
			if s != "" {
				return 0, false
			}
			suffix = "s"
		}
		i := next
		for i < len(timeUnits) && timeUnits[i].suffix != suffix {
			i++
		}
		if i == len(timeUnits) {
			return 0, false
		}
		next = i + 1
		if n > int64(timeMax/timeUnits[i].unit) {
			total = timeMax
			continue
		}
		total = min(timeMax, total+time.Duration(n)*timeUnits[i].unit)
	}
	return total, true
}

// parseSeconds is parseTime for the values that nginx counts in whole seconds.
func parseSeconds(s string) (time.Duration, bool) {
	d, ok := parseTime(s)
	return d, ok && !strings.Contains(s, "ms")
}

// duration reads a time into a field of the settings.
func duration(field func(*Settings) *time.Duration) func(*level, *node) {
	return func(l *level, n *node) {
		d, ok := parseTime(n.args[0])
		if !ok {
			l.invalid(n, n.args[0], hintTime)
			return
		}
		*field(l.set) = d
	}
}

// size reads a size in bytes, at least least, into a field of the settings.
func size(least int64, field func(*Settings) *int64) func(*level, *node) {
	return func(l *level, n *node) {
		v, ok := parseSize(n.args[0])
		if !ok || v < least {
			l.invalid(n, n.args[0], hintSize)
			return
		}
		*field(l.set) = v
	}
}

// onOff reads on or off into a field of the settings.
func onOff(field func(*Settings) *bool) func(*level, *node) {
	return func(l *level, n *node) { *field(l.set) = isOn(n.args[0]) }
}
