package hostile

import (
	"bytes"
	"regexp"
	"strings"
)

// Reader is one way to read HTTP/1.1 from a connection. Each stands for servers and
// clients that exist; none is shared with the proxy.
type Reader struct {
	Name string
	// strict follows the grammar of RFC 9112 and says where bytes do not.
	strict bool
	// bareCR also takes a CR without LF for the end of a line.
	bareCR bool
	// loose drops bytes around field names and, in requests, reads "_" for "-" as CGI does.
	loose bool
	// prefer is the field that wins where both framings are there.
	prefer string
}

const (
	fieldLength = "content-length"
	fieldCoding = "transfer-encoding"
)

// Readers are all ways; the first is the strict one.
var Readers = []Reader{
	{Name: "strict", strict: true},
	{Name: "LF ends lines", prefer: fieldCoding},
	{Name: "CL wins", loose: true, prefer: fieldLength},
	{Name: "TE wins", loose: true, prefer: fieldCoding},
	{Name: "CR ends lines", bareCR: true, prefer: fieldCoding},
}

// Field is one field line.
type Field struct{ Name, Value string }

// Message is a request or a response as a Reader sees it.
type Message struct {
	// Begin, Body and End are offsets: of the start line, behind the head, behind the body.
	Begin, Body, End int
	// Start is the request line or the status line.
	Start  string
	Fields []Field
	// Whole is false where bytes are missing; End is then where they stop.
	Whole bool
	// Bad is how the strict reader finds the grammar broken; "" if it is not.
	Bad string
}

// Value is the first value of a field, named in lower case, and whether it is there.
func (m *Message) Value(name string) (string, bool) {
	for _, f := range m.Fields {
		if strings.EqualFold(f.Name, name) {
			return f.Value, true
		}
	}
	return "", false
}

// Requests reads all requests in data. The last may be cut; behind a bad one nothing is read.
func (r Reader) Requests(data []byte) []Message {
	var all []Message
	for at := r.skipEmpty(data, 0); at < len(data); at = r.skipEmpty(data, at) {
		m := r.head(data, at)
		if m.Whole && m.Bad == "" {
			r.requestBody(data, &m)
		}
		all = append(all, m)
		if !m.Whole || m.Bad != "" || m.End <= at {
			break
		}
		at = m.End
	}
	return all
}

// skipEmpty passes over empty lines before a start line, as all but the strict reader do.
func (r Reader) skipEmpty(data []byte, at int) int {
	for !r.strict && at < len(data) && (data[at] == '\r' || data[at] == '\n') {
		at++
	}
	return at
}

// line is the line at offset at without its end, and the offset of the next; whole is
// false if it has no end yet.
func (r Reader) line(data []byte, at int) (line []byte, next int, whole bool) {
	end := bytes.IndexByte(data[at:], '\n')
	if r.bareCR {
		if cr := bytes.IndexByte(data[at:], '\r'); cr >= 0 && (end < 0 || cr < end) {
			next = at + cr + 1
			if next < len(data) && data[next] == '\n' {
				next++
			}
			return data[at : at+cr], next, true
		}
	}
	if end < 0 {
		return data[at:], len(data), false
	}
	next = at + end + 1
	if r.strict {
		return data[at : next-1], next, true // with its CR, for the grammar to see
	}
	return bytes.TrimRight(data[at:next-1], "\r"), next, true
}

// head reads start line and fields.
func (r Reader) head(data []byte, at int) Message {
	m := Message{Begin: at, End: len(data)}
	line, next, whole := r.line(data, at)
	m.Start = string(bytes.TrimRight(line, "\r"))
	if !whole {
		return m
	}
	if r.strict && !bytes.HasSuffix(line, []byte("\r")) {
		m.Bad = "bare LF"
	}
	fields, body, ok, bad := r.fields(data, next)
	m.Fields, m.Body = fields, body
	if m.Bad == "" {
		m.Bad = bad
	}
	if m.Whole = ok; ok {
		m.End = body
	}
	return m
}

// fields reads field lines up to the empty line.
func (r Reader) fields(data []byte, at int) (fields []Field, next int, whole bool, bad string) {
	for {
		line, after, ok := r.line(data, at)
		if !ok {
			return fields, len(data), false, bad
		}
		at = after
		if r.strict {
			f, end, flaw := strictField(line)
			if flaw != "" && bad == "" {
				bad = flaw
			}
			if end || len(line) == 0 {
				return fields, at, true, bad
			}
			fields = append(fields, f)
			continue
		}
		if len(line) == 0 {
			return fields, at, true, bad
		}
		if (line[0] == ' ' || line[0] == '\t') && len(fields) > 0 {
			fields[len(fields)-1].Value += " " + strings.TrimSpace(string(line))
			continue
		}
		name, value, _ := strings.Cut(string(line), ":")
		fields = append(fields, Field{Name: r.name(name), Value: strings.TrimSpace(value)})
	}
}

var token = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")

// strictField judges one line with its CR by RFC 9112 section 5.
func strictField(line []byte) (f Field, end bool, bad string) {
	if len(line) == 0 || line[len(line)-1] != '\r' {
		return f, false, "bare LF"
	}
	if line = line[:len(line)-1]; len(line) == 0 {
		return f, true, ""
	}
	name, value, colon := strings.Cut(string(line), ":")
	switch {
	case line[0] == ' ' || line[0] == '\t':
		bad = "folded line"
	case !colon:
		bad = "line without a colon"
	case !token.MatchString(name):
		bad = "field name " + Escape([]byte(name), 30)
	case hasControl(value):
		bad = "control byte in a value"
	}
	return Field{Name: name, Value: strings.Trim(value, " \t")}, false, bad
}

func hasControl(value string) bool {
	return strings.IndexFunc(value, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }) >= 0
}

// name is a field name as the reader takes it.
func (r Reader) name(name string) string {
	name = strings.ToLower(name)
	if !r.loose {
		return strings.TrimSpace(name)
	}
	return strings.TrimFunc(name, func(c rune) bool { return c <= ' ' || c >= 0x7f })
}
