package health

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"holdfast/httpparse"
)

const (
	// headMax bounds the head of a response, as it bounds that of other responses of upstreams.
	headMax = 64 << 10
	// bodyMax is how much of a body is looked at, as in nginx.
	bodyMax = 256 << 10
	// interimMax is how many interim responses may come first.
	interimMax = 8
)

// HTTP is a request and what its response must be like. Every test must be passed; without any
// the status must be 2xx or 3xx.
type HTTP struct {
	// Request is the whole request, without a body.
	Request []byte
	// KeepaliveTime is how long a connection may be used for checks; 0 closes it after each.
	KeepaliveTime time.Duration

	Statuses []StatusTest
	Headers  []HeaderTest
	Bodies   []BodyTest
}

// StatusTest is passed by a status in one of the ranges, first and last of each included, or
// with Not by all others.
type StatusTest struct {
	Not    bool
	Ranges [][2]int
}

// HeaderOp is what is asked of a header field.
type HeaderOp uint8

// The questions.
const (
	HeaderPresent  HeaderOp = iota // it is there
	HeaderAbsent                   // it is not
	HeaderEqual                    // it has the value
	HeaderNotEqual                 // it is there and has another value
	HeaderMatches                  // its value matches
	HeaderNotMatch                 // it is there and its value does not match
)

// HeaderTest is a test of one header field.
type HeaderTest struct {
	Name    string
	Op      HeaderOp
	Value   string
	Pattern *regexp.Regexp
}

// BodyTest is passed by a body of which the first 256 KiB match, or with Not do not.
type BodyTest struct {
	Not     bool
	Pattern *regexp.Regexp
}

// check sends the request and judges the response. keep tells that the connection can be used
// again.
func (h *HTTP) check(l *line, limit time.Duration) (keep bool, f fault) {
	_ = l.SetDeadline(time.Now().Add(limit))
	if _, err := l.Write(h.Request); err != nil {
		return false, failed("send()", err, whileSending)
	}
	_ = l.SetDeadline(time.Now().Add(limit))
	r := response{line: l}
	if f := r.readHead(); f != (fault{}) {
		return false, f
	}
	if f := h.judgeHead(&r); f != (fault{}) {
		return false, f
	}
	keep = h.KeepaliveTime > 0 && r.head.KeepAlive(r.raw)
	if len(h.Bodies) == 0 && !keep {
		return false, fault{}
	}
	_ = l.SetDeadline(time.Now().Add(limit))
	whole, f := r.readBody()
	if f != (fault{}) {
		return false, f
	}
	for i := range h.Bodies {
		if t := &h.Bodies[i]; t.Pattern.Match(r.body) == t.Not {
			return keep && whole, fault{found: "unexpected body", while: whileBody}
		}
	}
	return keep && whole, fault{}
}

// judgeHead tests what the head has.
func (h *HTTP) judgeHead(r *response) fault {
	passed := true
	if len(h.Statuses)+len(h.Headers)+len(h.Bodies) == 0 {
		passed = r.head.Status/100 == 2 || r.head.Status/100 == 3
	}
	for i := range h.Statuses {
		passed = passed && h.Statuses[i].passes(r.head.Status)
	}
	if !passed {
		return fault{found: fmt.Sprintf("unexpected status code %d", r.head.Status), while: whileStatus}
	}
	for i := range h.Headers {
		if t := &h.Headers[i]; !t.passes(r) {
			return fault{found: fmt.Sprintf("unexpected header %q", t.Name), while: whileHeader}
		}
	}
	return fault{}
}

func (t *StatusTest) passes(status int) bool {
	for _, r := range t.Ranges {
		if r[0] <= status && status <= r[1] {
			return !t.Not
		}
	}
	return t.Not
}

// passes looks at all lines of the field: one that has or matches the value is enough, or too
// much.
func (t *HeaderTest) passes(r *response) bool {
	found, hit := false, false
	for i := range r.head.Fields {
		if !strings.EqualFold(string(r.head.Fields[i].Name.Of(r.raw)), t.Name) {
			continue
		}
		found = true
		value := r.head.Fields[i].Value.Of(r.raw)
		hit = hit || t.Pattern != nil && t.Pattern.Match(value) || t.Pattern == nil && string(value) == t.Value
	}
	switch t.Op {
	case HeaderPresent:
		return found
	case HeaderAbsent:
		return !found
	case HeaderEqual, HeaderMatches:
		return hit
	}
	return found && !hit
}

// response is one that is being read.
type response struct {
	line    *line
	raw     []byte // the head and what came behind it
	head    httpparse.Response
	framing httpparse.Framing
	body    []byte // decoded, at most bodyMax
}

const invalidHeader = "upstream sent invalid header: "

// readHead reads the head of the final response. One that no request would get is a fault here.
func (r *response) readHead() fault {
	r.raw = make([]byte, 0, 2<<10)
	for interim := 0; ; {
		done, err := r.head.Parse(r.raw)
		switch {
		case err != httpparse.OK:
			return fault{text: invalidHeader + err.String(), while: whileReadingHead}
		case done && r.head.Status < 200 && r.head.Status != 101:
			if interim++; interim > interimMax {
				return fault{text: invalidHeader + "too many interim responses", while: whileReadingHead}
			}
			r.raw = append(r.raw[:0], r.raw[r.head.HeadLen:]...)
			r.head.Reset()
			continue
		case done:
			if r.framing, err = r.head.Framing(r.raw, httpparse.MethodGet); err != httpparse.OK {
				return fault{text: invalidHeader + err.String(), while: whileReadingHead}
			}
			return fault{}
		case len(r.raw) >= headMax:
			return fault{text: "upstream sent too big header", while: whileReadingHead}
		}
		if f := r.read(headMax, whileReadingHead); f != (fault{}) {
			return f
		}
	}
}

// read appends what comes to raw, up to a length of limit.
func (r *response) read(limit int, while string) fault {
	if len(r.raw) == cap(r.raw) {
		r.raw = append(make([]byte, 0, min(2*cap(r.raw), limit)), r.raw...)
	}
	n, err := r.line.Read(r.raw[len(r.raw):cap(r.raw)])
	r.raw = r.raw[:len(r.raw)+n]
	if n == 0 && err != nil {
		return failed("recv()", err, while)
	}
	if n > 0 {
		r.line.used = false // it was alive: what goes wrong from now on is the server's doing
	}
	return fault{}
}

// readBody reads the body as far as it is looked at. whole tells that it has ended there.
func (r *response) readBody() (whole bool, f fault) {
	framing := r.framing
	if r.head.Status == 101 || framing.Kind == httpparse.BodyNone {
		return r.head.Status != 101 && len(r.raw) == r.head.HeadLen, fault{}
	}
	var chunked httpparse.Chunked
	piece, left := r.raw[r.head.HeadLen:], framing.Length
	for buf := make([]byte, 8<<10); ; {
		switch framing.Kind {
		case httpparse.BodyChunked:
			n, used, done, err := chunked.Decode(piece)
			r.take(piece[:n])
			if err != httpparse.OK {
				return false, fault{text: "upstream sent invalid chunked response: " + err.String(), while: whileReading}
			}
			if done {
				return used == len(piece), fault{}
			}
		case httpparse.BodyLength:
			n := min(int64(len(piece)), left)
			r.take(piece[:n])
			if left -= n; left == 0 {
				return n == int64(len(piece)), fault{}
			}
		default:
			r.take(piece)
		}
		if len(r.body) >= bodyMax {
			return false, fault{}
		}
		n, errRead := r.line.Read(buf)
		if piece = buf[:n]; n > 0 {
			continue
		}
		if errors.Is(errRead, io.EOF) && framing.Kind == httpparse.BodyClose {
			return false, fault{}
		}
		if errRead != nil {
			return false, failed("recv()", errRead, whileReading)
		}
	}
}

// take keeps a part of the body.
func (r *response) take(part []byte) {
	r.body = append(r.body, part[:min(len(part), bodyMax-len(r.body))]...)
}
