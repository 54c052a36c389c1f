package hostile

import (
	"bytes"
	"math"
	"regexp"
	"strconv"
	"strings"
)

var requestLine = regexp.MustCompile(`^[!#$%&'*+.^_|~0-9A-Za-z-]+ [\x21-\x7e\x80-\xff]+ HTTP/1\.[01]$`)

// requestBody finds the end of a request whose head is whole (RFC 9112 section 6.3).
func (r Reader) requestBody(data []byte, m *Message) {
	if r.strict {
		if !requestLine.Match([]byte(latin(m.Start))) {
			m.Bad = "request line"
			return
		}
		old := strings.HasSuffix(m.Start, "1.0")
		if hosts := count(m, "host"); hosts > 1 || hosts == 0 && !old {
			m.Bad = strconv.Itoa(hosts) + " Host fields"
			return
		}
		if m.Bad = strictFraming(m, old); m.Bad != "" {
			return
		}
	}
	if r.loose {
		for i := range m.Fields {
			m.Fields[i].Name = strings.ReplaceAll(m.Fields[i].Name, "_", "-")
		}
	}
	r.body(data, m, 0)
}

// latin makes one rune of every byte, so that a pattern can speak of bytes.
func latin(s string) string {
	runes := make([]rune, len(s))
	for i := range len(s) {
		runes[i] = rune(s[i])
	}
	return string(runes)
}

func count(m *Message, name string) int {
	n := 0
	for _, f := range m.Fields {
		if strings.EqualFold(f.Name, name) {
			n++
		}
	}
	return n
}

var digits = regexp.MustCompile(`^[0-9]+$`)

// strictFraming says what is wrong with the framing of a message, "" if nothing.
func strictFraming(m *Message, old bool) string {
	lengths, codings := count(m, fieldLength), count(m, fieldCoding)
	length, _ := m.Value(fieldLength)
	coding, _ := m.Value(fieldCoding)
	switch {
	case lengths > 0 && codings > 0:
		return "Content-Length and Transfer-Encoding"
	case lengths > 1 || codings > 1:
		return "a framing field twice"
	case lengths == 1 && !digits.MatchString(length):
		return "Content-Length " + Escape([]byte(length), 30)
	case codings == 1 && (old || !strings.EqualFold(coding, "chunked")):
		return "Transfer-Encoding " + Escape([]byte(coding), 30)
	}
	return ""
}

// untilEnd is a body that the end of the connection ends.
const untilEnd = -1

// body finds the end of the body by the reader's rules; absent is its length where no
// field says anything: 0 or untilEnd.
func (r Reader) body(data []byte, m *Message, absent int) {
	length, hasLength := r.length(m)
	chunked := r.chunked(m)
	if hasLength && chunked {
		hasLength = r.prefer == fieldLength
		chunked = !hasLength
	}
	switch {
	case chunked:
		r.chunks(data, m)
	case hasLength:
		m.Whole = len(data)-m.Body >= length
		m.End = min(len(data), m.Body+min(length, len(data)))
	case absent == untilEnd:
		m.End, m.Whole = len(data), false
	}
}

var leadingNumber = regexp.MustCompile(`^[\s+]*([0-9]+)`)

// length is Content-Length: exactly, or, but for the strict reader, the number a text
// begins with. Where it is repeated, the reader that prefers codings takes the last.
func (r Reader) length(m *Message) (n int, ok bool) {
	for _, f := range m.Fields {
		if !strings.EqualFold(f.Name, fieldLength) || ok && r.prefer == fieldLength {
			continue
		}
		text := f.Value
		if !r.strict {
			found := leadingNumber.FindStringSubmatch(text)
			if found == nil {
				continue
			}
			text = found[1]
		}
		number, err := strconv.ParseInt(text, 10, 62)
		if err != nil {
			number = math.MaxInt32
		}
		n, ok = int(number), true
	}
	return n, ok
}

// chunked tells whether the reader takes the body for chunked.
func (r Reader) chunked(m *Message) bool {
	for _, f := range m.Fields {
		if !strings.EqualFold(f.Name, fieldCoding) {
			continue
		}
		value := strings.ToLower(f.Value)
		codings := strings.Split(value, ",")
		if r.loose && r.prefer == fieldCoding {
			if strings.Contains(value, "chunked") {
				return true
			}
		} else if strings.TrimSpace(codings[len(codings)-1]) == "chunked" {
			return true
		}
	}
	return false
}

// A token and a quoted string as extensions have them, quoted pairs left out.
const (
	word   = "[!#$%&'*+.^_`|~0-9A-Za-z-]"
	quoted = `"[^"\\\x00-\x08\x0a-\x1f]*"`
)

var (
	strictSize = regexp.MustCompile(`^[0-9A-Fa-f]{1,15}([ \t]*;[ \t]*` + word + `+([ \t]*=[ \t]*(` + quoted + `|` + word + `+))?)*\r$`)
	looseSize  = regexp.MustCompile(`^[\s+]*(?:0[xX])?([0-9A-Fa-f]+)`)
)

// chunks passes over a chunked body (RFC 9112 section 7.1).
func (r Reader) chunks(data []byte, m *Message) {
	m.Whole, m.End = false, len(data)
	for at := m.Body; ; {
		line, next, ok := r.line(data, at)
		if !ok {
			return
		}
		if r.strict && !strictSize.Match(line) {
			m.Bad = "chunk size line " + Escape(line, 40)
			return
		}
		hex := looseSize.FindSubmatch(line)
		if hex == nil {
			m.Bad = "chunk size line " + Escape(line, 40)
			return
		}
		size, err := strconv.ParseUint(string(hex[1]), 16, 40)
		if err != nil {
			return // more than will ever come
		}
		if size == 0 {
			r.trailers(data, m, next)
			return
		}
		at = next + int(size)
		if at >= len(data) {
			return
		}
		if at, ok = r.chunkEnd(data, at, m); !ok {
			return
		}
	}
}

// chunkEnd passes over the line end behind a chunk's data.
func (r Reader) chunkEnd(data []byte, at int, m *Message) (int, bool) {
	rest := data[at:]
	if r.strict {
		if !bytes.HasPrefix([]byte("\r\n"), rest[:min(2, len(rest))]) {
			m.Bad = "chunk data without CRLF"
		}
		return at + 2, m.Bad == "" && len(rest) > 2
	}
	if rest[0] == '\r' {
		at++
	}
	if at < len(data) && data[at] == '\n' {
		at++
	}
	return at, at < len(data)
}

// trailers passes over the trailer section and so to the end of the message.
func (r Reader) trailers(data []byte, m *Message, at int) {
	fields, next, whole, bad := r.fields(data, at)
	if r.strict {
		m.Bad = bad
		for _, f := range fields {
			switch strings.ToLower(f.Name) {
			case "host", fieldLength, fieldCoding, "connection", "trailer":
				m.Bad = "trailer " + f.Name
			}
		}
	}
	if m.Whole = whole; whole {
		m.End = next
	}
}
