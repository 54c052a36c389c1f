package route

import (
	"math"

	"holdfast/httpparse"
)

// byteRange is bytes [start, end) of a file.
type byteRange struct{ start, end int64 }

// judgeRanges decides on the value of Range for a file of size bytes (RFC 9110 section
// 14.2) and keeps the ranges in e. The whole file is the answer where set is malformed
// or in other units, has more than limit ranges, or asks for more bytes than there are,
// as overlapping ranges do.
func (e *Env) judgeRanges(set []byte, size int64, limit int) FileAnswer {
	whole := FileAnswer{Status: 200}
	const unit = "bytes="
	if len(set) < len(unit) || !httpparse.EqualFold(set[:len(unit)], unit) {
		return whole
	}
	sum, asked := int64(0), false
	for rest := set[len(unit):]; ; {
		var spec []byte
		if spec, rest = httpparse.NextToken(rest); spec == nil {
			break
		}
		r, ok := parseRange(spec, size)
		if !ok {
			e.ranges = e.ranges[:0]
			return whole
		}
		asked = true
		if r.start >= r.end {
			// An empty file has no part that a Content-Range could name.
			if r.start == 0 {
				e.ranges = e.ranges[:0]
				return whole
			}
			continue
		}
		if sum += r.end - r.start; len(e.ranges) == limit || sum > size {
			e.ranges = e.ranges[:0]
			return whole
		}
		e.ranges = append(e.ranges, r)
	}
	switch {
	case !asked:
		return whole
	case len(e.ranges) == 0:
		return FileAnswer{Status: 416}
	}
	return FileAnswer{Status: 206, Ranges: len(e.ranges)}
}

// parseRange reads first "-" [last], or "-" length for the end of the file (RFC 9110
// section 14.1.1). The range lies within the file, or is empty if it can't.
func parseRange(spec []byte, size int64) (r byteRange, ok bool) {
	first, rest, some := takeNumber(spec)
	if len(rest) == 0 || rest[0] != '-' {
		return r, false
	}
	last, rest, bounded := takeNumber(rest[1:])
	switch {
	case len(rest) > 0, !some && !bounded, some && bounded && last < first:
		return r, false
	case !some:
		return byteRange{start: size - min(last, size), end: size}, true
	case !bounded:
		last = math.MaxInt64
	}
	return byteRange{start: first, end: min(last, size-1) + 1}, true
}

// takeNumber takes the digits at the front of text; a number that is too large for
// files becomes the largest one. found is false without a digit.
func takeNumber(text []byte) (n int64, rest []byte, found bool) {
	end := 0
	for end < len(text) && text[end]-'0' <= 9 {
		if n > (math.MaxInt64-9)/10 {
			n = math.MaxInt64
		} else {
			n = n*10 + int64(text[end]-'0')
		}
		end++
	}
	return n, text[end:], end > 0
}
