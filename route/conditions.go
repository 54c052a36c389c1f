package route

import (
	"bytes"
	"strconv"

	"holdfast/httpparse"
)

// JudgeFile decides by the request's If-Match, If-Unmodified-Since, If-None-Match,
// If-Modified-Since, Range and If-Range, in the order of RFC 9110 section 13.2.2.
// Methods other than GET and HEAD are the caller's to refuse. The ranges stay in e
// until the next call.
//
// Conditions hold for what would be a 200: where an error page puts another status in
// its place, the caller takes FileAnswer{Status: 200} instead.
func (e *Env) JudgeFile(f File) FileAnswer {
	e.ranges = e.ranges[:0]
	s := e.settings()
	if e.Req == nil || s == nil {
		return FileAnswer{Status: 200}
	}
	var room [etagRoom]byte
	tag := room[:0]
	if s.ETag {
		tag = f.appendETag(tag)
	}
	if matched, present := e.matchTag("if-match", tag, false); present {
		if !matched {
			return FileAnswer{Status: 412}
		}
	} else if since, ok := e.dateField("if-unmodified-since"); ok && f.ModifiedSec > since {
		return FileAnswer{Status: 412}
	}
	if matched, present := e.matchTag("if-none-match", tag, true); present {
		if matched {
			return FileAnswer{Status: 304}
		}
	} else if since, ok := e.dateField("if-modified-since"); ok && s.IfModifiedSince.unmodified(f.ModifiedSec, since) {
		return FileAnswer{Status: 304}
	}
	// No method but GET has ranges (RFC 9110 section 14.2).
	if e.Req.MethodID != httpparse.MethodGet || s.MaxRanges == 0 {
		return FileAnswer{Status: 200}
	}
	set, count := e.onlyField("range")
	if count != 1 || !e.rangeApplies(f, tag) {
		return FileAnswer{Status: 200}
	}
	limit := RangesMax
	if s.MaxRanges > 0 {
		limit = min(limit, int(s.MaxRanges))
	}
	return e.judgeRanges(set, f.Size, limit)
}

// unmodified reports whether a file of that time counts as the one of If-Modified-Since.
func (how IfModifiedSince) unmodified(modifiedSec, sinceSec int64) bool {
	switch how {
	case IfModifiedOff:
		return false
	case IfModifiedBefore:
		return modifiedSec <= sinceSec
	}
	return modifiedSec == sinceSec
}

// rangeApplies is the answer to If-Range (RFC 9110 section 13.1.5): without one, yes;
// else only a strong validator that fits. A time is strong once its second is over.
func (e *Env) rangeApplies(f File, tag []byte) bool {
	value, count := e.onlyField("if-range")
	switch {
	case count == 0:
		return true
	case count > 1 || len(value) == 0:
		return false
	case value[len(value)-1] == '"':
		return len(tag) > 0 && bytes.Equal(value, tag)
	}
	since, ok := parseDate(value, e.nowSec())
	return ok && since == f.ModifiedSec && f.ModifiedSec < e.nowSec()
}

// onlyField is the value of the field called name, and how many lines have that name.
func (e *Env) onlyField(name string) (value []byte, count int) {
	for i := range e.Req.Fields {
		f := &e.Req.Fields[i]
		if f.ID == httpparse.FieldOther && httpparse.EqualFold(f.Name.Of(e.Head), name) {
			value = f.Value.Of(e.Head)
			count++
		}
	}
	return value, count
}

// dateField is the time in the field called name; ok is false if it is absent, repeated
// or no HTTP-date, since such a condition is ignored (RFC 9110 section 13.1.3).
func (e *Env) dateField(name string) (second int64, ok bool) {
	value, count := e.onlyField(name)
	if count != 1 {
		return 0, false
	}
	return parseDate(value, e.nowSec())
}

// matchTag reports whether the fields called name list tag, which is empty where the
// file has none, or are "*". With weak, a weak tag is as good (RFC 9110 section 8.8.3.2).
func (e *Env) matchTag(name string, tag []byte, weak bool) (matched, present bool) {
	for i := range e.Req.Fields {
		f := &e.Req.Fields[i]
		if f.ID != httpparse.FieldOther || !httpparse.EqualFold(f.Name.Of(e.Head), name) {
			continue
		}
		present = true
		value := f.Value.Of(e.Head)
		matched = matched || string(value) == "*" || len(tag) > 0 && listsTag(value, tag, weak)
	}
	return matched, present
}

// listsTag reports whether list, of entity-tags, has tag. What is no entity-tag is
// passed over.
func listsTag(list, tag []byte, weak bool) bool {
	for len(list) > 0 {
		if c := list[0]; c == ' ' || c == '\t' || c == ',' {
			list = list[1:]
			continue
		}
		isWeak := hasPrefix(list, "W/")
		if isWeak {
			list = list[len("W/"):]
		}
		if len(list) > 0 && list[0] == '"' {
			end := bytes.IndexByte(list[1:], '"')
			if end < 0 {
				return false
			}
			found := list[:end+2]
			list = list[end+2:]
			if bytes.Equal(found, tag) && (weak || !isWeak) && endsElement(list) {
				return true
			}
		}
		next := bytes.IndexByte(list, ',')
		if next < 0 {
			return false
		}
		list = list[next:]
	}
	return false
}

// endsElement reports whether nothing but spaces stands before the next comma.
func endsElement(list []byte) bool {
	for _, c := range list {
		if c != ' ' && c != '\t' {
			return c == ','
		}
	}
	return true
}

// etagRoom is enough for an ETag: two numbers of 64 bits in hexadecimal, a hyphen and
// the quotes.
const etagRoom = 2*16 + 3

// appendETag appends the ETag of the file as nginx makes it: its time and size.
func (f File) appendETag(dst []byte) []byte {
	dst = append(dst, '"')
	dst = strconv.AppendUint(dst, uint64(f.ModifiedSec), 16)
	dst = append(dst, '-')
	dst = strconv.AppendUint(dst, uint64(f.Size), 16)
	return append(dst, '"')
}
