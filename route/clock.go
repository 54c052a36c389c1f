package route

import (
	"strconv"
	"time"
)

// clock keeps the texts of the last second it was asked for: most requests of a
// busy process share their second with the one before.
type clock struct {
	httpSecond, localSecond, isoSecond int64
	httpText                           [len(httpTime)]byte
	localText                          [len(localTime)]byte
	isoText                            [len(isoTime)]byte
}

// The layouts of the Date field (RFC 9110 section 5.6.7), $time_local and
// $time_iso8601. Each text is exactly as long as its layout.
const (
	httpTime  = "Mon, 02 Jan 2006 15:04:05 GMT"
	localTime = "02/Jan/2006:15:04:05 -0700"
	isoTime   = "2006-01-02T15:04:05-07:00"
)

const nsPerSecond = int64(time.Second)

// appendHTTPDate appends the present as a Date field has it.
func (e *Env) appendHTTPDate(dst []byte) []byte {
	c := &e.clock
	if second := e.NowNs / nsPerSecond; c.httpSecond != second || c.httpText[0] == 0 {
		c.httpSecond = second
		time.Unix(second, 0).UTC().AppendFormat(c.httpText[:0], httpTime)
	}
	return append(dst, c.httpText[:]...)
}

func varTimeLocal(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	c := &e.clock
	if second := e.NowNs / nsPerSecond; c.localSecond != second || c.localText[0] == 0 {
		c.localSecond = second
		time.Unix(second, 0).AppendFormat(c.localText[:0], localTime)
	}
	return append(dst, c.localText[:]...), true
}

func varTimeISO8601(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	c := &e.clock
	if second := e.NowNs / nsPerSecond; c.isoSecond != second || c.isoText[0] == 0 {
		c.isoSecond = second
		time.Unix(second, 0).AppendFormat(c.isoText[:0], isoTime)
	}
	return append(dst, c.isoText[:]...), true
}

func varMsec(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return appendSeconds(dst, e.NowNs/int64(time.Millisecond)), true
}

func varRequestTime(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return appendSeconds(dst, (e.NowNs-e.StartNs)/int64(time.Millisecond)), true
}

func varConnectionTime(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return appendSeconds(dst, (e.NowNs-e.ConnectionStartNs)/int64(time.Millisecond)), true
}

// appendSeconds appends ms milliseconds as seconds with three decimals. A clock
// that was set back gives 0.000, not a negative time.
func appendSeconds(dst []byte, ms int64) []byte {
	ms = max(ms, 0)
	dst = strconv.AppendInt(dst, ms/1000, 10)
	rest := ms % 1000
	return append(dst, '.', byte('0'+rest/100), byte('0'+rest/10%10), byte('0'+rest%10))
}
