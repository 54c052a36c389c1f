package route

import "time"

// appendDate appends a time, in seconds since 1970, as an HTTP-date in the form that is
// to be generated (RFC 9110 section 5.6.7).
func appendDate(dst []byte, second int64) []byte {
	return time.Unix(second, 0).UTC().AppendFormat(dst, httpTime)
}

// nowSec is the present in seconds since 1970.
func (e *Env) nowSec() int64 { return e.NowNs / nsPerSecond }

// parseDate reads an HTTP-date in any of its three forms (RFC 9110 section 5.6.7). The
// result is in seconds since 1970. nowSec decides on the century of a year with two
// digits.
func parseDate(text []byte, nowSec int64) (second int64, ok bool) {
	d := dateReader{rest: text, ok: true}
	name := d.word()
	var day, month, year, clock int
	switch {
	case d.skip(", ") && len(name) == 3: // Sun, 06 Nov 1994 08:49:37 GMT
		day = d.number(2)
		d.need(" ")
		month = d.month()
		d.need(" ")
		year = d.number(4)
		d.need(" ")
		clock = d.clock()
		d.need(" GMT")
	case d.was(", "): // Sunday, 06-Nov-94 08:49:37 GMT
		day = d.number(2)
		d.need("-")
		month = d.month()
		d.need("-")
		year = nearCentury(d.number(2), nowSec)
		d.need(" ")
		clock = d.clock()
		d.need(" GMT")
	default: // Sun Nov  6 08:49:37 1994
		d.need(" ")
		month = d.month()
		d.need(" ")
		if d.skip(" ") {
			day = d.number(1)
		} else {
			day = d.number(2)
		}
		d.need(" ")
		clock = d.clock()
		d.need(" ")
		year = d.number(4)
		d.ok = d.ok && len(name) == 3
	}
	if !d.ok || len(d.rest) > 0 || !isDayName(name) || day < 1 || day > daysIn(month, year) {
		return 0, false
	}
	return time.Date(year, time.Month(month), day, 0, 0, clock, 0, time.UTC).Unix(), true
}

// dateReader takes an HTTP-date apart from the left. ok is false once something was
// missing.
type dateReader struct {
	rest []byte
	last string // what skip took last
	ok   bool
}

// word takes the letters at the front.
func (d *dateReader) word() []byte {
	end := 0
	for end < len(d.rest) && (d.rest[end]|0x20)-'a' < 26 {
		end++
	}
	word := d.rest[:end]
	d.rest = d.rest[end:]
	return word
}

// skip takes text, if it is there.
func (d *dateReader) skip(text string) bool {
	if !hasPrefix(d.rest, text) {
		return false
	}
	d.rest, d.last = d.rest[len(text):], text
	return true
}

// was reports whether skip took text last.
func (d *dateReader) was(text string) bool { return d.last == text }

func (d *dateReader) need(text string) { d.ok = d.skip(text) && d.ok }

// number takes exactly digits digits.
func (d *dateReader) number(digits int) (n int) {
	if len(d.rest) < digits {
		d.ok = false
		return 0
	}
	for _, c := range d.rest[:digits] {
		if c-'0' > 9 {
			d.ok = false
			return 0
		}
		n = n*10 + int(c-'0')
	}
	d.rest = d.rest[digits:]
	return n
}

// month takes the name of a month; 1 is January.
func (d *dateReader) month() int {
	const names = "JanFebMarAprMayJunJulAugSepOctNovDec"
	for i := 0; i < len(names); i += 3 {
		if d.skip(names[i : i+3]) {
			return i/3 + 1
		}
	}
	d.ok = false
	return 0
}

// clock takes hh:mm:ss, as seconds after midnight; a leap second is allowed.
func (d *dateReader) clock() int {
	hour := d.number(2)
	d.need(":")
	minute := d.number(2)
	d.need(":")
	second := d.number(2)
	d.ok = d.ok && hour < 24 && minute < 60 && second <= 60
	return hour*3600 + minute*60 + second
}

func isDayName(name []byte) bool {
	switch string(name) {
	case "Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun",
		"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday":
		return true
	}
	return false
}

// daysIn is the number of days of a month; 0 if there is no such month.
func daysIn(month, year int) int {
	switch month {
	case 1, 3, 5, 7, 8, 10, 12:
		return 31
	case 4, 6, 9, 11:
		return 30
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	}
	return 0
}

// nearCentury is the year that two digits mean: one that seems more than 50 years ahead
// is the last year in the past with these digits (RFC 9110 section 5.6.7).
func nearCentury(digits int, nowSec int64) int {
	now := time.Unix(nowSec, 0).UTC().Year()
	year := now - now%100 + digits
	if year > now+50 {
		year -= 100
	}
	return year
}
