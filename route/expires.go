package route

import (
	"strconv"
	"time"
)

// expires is a compiled expires directive.
type expires struct {
	kind     expiresKind
	modified bool
	seconds  int64
	text     Template // for expiresRendered
}

type expiresKind uint8

const (
	expiresOff      expiresKind = iota
	expiresAfter                // seconds after now, or after Last-Modified if modified
	expiresDaily                // at so many seconds after midnight, local time
	expiresEpoch                // long ago
	expiresMax                  // in 2037
	expiresRendered             // text says which
)

// The fields of the fixed kinds, as nginx has them.
const (
	fieldsEpoch = "Expires: Thu, 01 Jan 1970 00:00:01 GMT\r\nCache-Control: no-cache\r\n"
	fieldsMax   = "Expires: Thu, 31 Dec 2037 23:55:55 GMT\r\nCache-Control: max-age=315360000\r\n"
)

const daySeconds = 24 * 60 * 60

// newExpires compiles the argument of expires.
func (c *Compiler) newExpires(text string, modified bool) (expires, error) {
	if text == "" {
		return expires{}, nil
	}
	t, err := c.Compile(text)
	if err != nil {
		return expires{}, err
	}
	constant, isConst := t.Const()
	if !isConst {
		return expires{kind: expiresRendered, modified: modified, text: t}, nil
	}
	x, ok := parseExpires([]byte(constant), modified)
	if !ok {
		return expires{}, &CompileError{
			Text: "invalid time " + strconv.Quote(text) + " in expires",
			Hint: `write a time such as 30d, -1 or @15h30m, or "epoch", "max", "off"; "modified" goes with a time only`,
		}
	}
	return x, nil
}

// parseExpires reads an argument of expires.
func parseExpires(text []byte, modified bool) (x expires, ok bool) {
	switch string(text) {
	case "":
		return x, false
	case "off":
		return x, true
	case "epoch":
		return expires{kind: expiresEpoch}, !modified
	case "max":
		return expires{kind: expiresMax}, !modified
	}
	x = expires{kind: expiresAfter, modified: modified}
	switch text[0] {
	case '@':
		x.kind = expiresDaily
		x.seconds, ok = parseSeconds(text[1:])
		return x, ok && !modified && x.seconds <= daySeconds
	case '-':
		x.seconds, ok = parseSeconds(text[1:])
		x.seconds = -x.seconds
		return x, ok
	case '+':
		text = text[1:]
	}
	x.seconds, ok = parseSeconds(text)
	return x, ok
}

// timeUnits are nginx's, the largest first, each at most once in a time.
var timeUnits = [...]struct {
	letter  byte
	seconds int64
}{
	{'y', 365 * daySeconds}, {'M', 30 * daySeconds}, {'w', 7 * daySeconds}, {'d', daySeconds},
	{'h', 60 * 60}, {'m', 60}, {'s', 1},
}

// secondsMax keeps sums of times and dates within four-digit years.
const secondsMax = 7000 * 365 * daySeconds

// parseSeconds reads a time in nginx's syntax, such as "1d 12h" or "90".
func parseSeconds(text []byte) (total int64, ok bool) {
	unit := 0
	for len(text) > 0 {
		n, digits := int64(0), 0
		for digits < len(text) && text[digits]-'0' <= 9 {
			if n = n*10 + int64(text[digits]-'0'); n > secondsMax {
				return 0, false
			}
			digits++
		}
		if digits == 0 {
			return 0, false
		}
		text = text[digits:]
		scale := int64(1)
		if len(text) > 0 {
			for unit < len(timeUnits) && timeUnits[unit].letter != text[0] {
				unit++
			}
			if unit == len(timeUnits) {
				return 0, false
			}
			scale = timeUnits[unit].seconds
			unit++
			text = text[1:]
			for len(text) > 0 && text[0] == ' ' {
				text = text[1:]
			}
		}
		if total += n * min(scale, secondsMax/max(n, 1)+1); total > secondsMax {
			return 0, false
		}
		ok = true
	}
	return total, ok
}

// append appends Expires and Cache-Control; set is false if the text says "off", or
// nothing that can be understood. modifiedSec is the answer's Last-Modified, or noTime.
func (x *expires) append(dst []byte, e *Env, modifiedSec int64) (out []byte, set bool) {
	if x.kind == expiresRendered {
		buf := x.text.Append(e.borrow(), e)
		rendered, ok := parseExpires(buf, x.modified)
		e.giveBack(buf)
		if !ok {
			return dst, false
		}
		return rendered.append(dst, e, modifiedSec)
	}
	now := e.nowSec()
	at, age := now, x.seconds
	switch {
	case x.kind == expiresOff:
		return dst, false
	case x.kind == expiresEpoch:
		return append(dst, fieldsEpoch...), true
	case x.kind == expiresMax:
		return append(dst, fieldsMax...), true
	case x.kind == expiresDaily:
		at = nextTime(now, x.seconds)
		age = at - now
	case x.modified && modifiedSec != noTime && x.seconds != 0:
		at = modifiedSec + x.seconds
		age = at - now
	default:
		at += x.seconds
	}
	dst = append(dst, "Expires: "...)
	dst = appendDate(dst, at)
	if age < 0 {
		return append(dst, "\r\nCache-Control: no-cache\r\n"...), true
	}
	dst = append(dst, "\r\nCache-Control: max-age="...)
	dst = strconv.AppendInt(dst, age, 10)
	return append(dst, "\r\n"...), true
}

// nextTime is the next second, after now, that is so many seconds after a midnight of
// local time.
func nextTime(now, seconds int64) int64 {
	year, month, day := time.Unix(now, 0).Date()
	hour, minute, second := int(seconds/3600), int(seconds/60%60), int(seconds%60)
	if next := time.Date(year, month, day, hour, minute, second, 0, time.Local).Unix(); next > now {
		return next
	}
	return time.Date(year, month, day+1, hour, minute, second, 0, time.Local).Unix()
}
