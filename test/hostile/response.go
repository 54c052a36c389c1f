package hostile

import (
	"regexp"
	"strconv"
	"strings"
)

var statusLine = regexp.MustCompile(`^HTTP/1\.[01] [1-9][0-9][0-9]( [\t\x20-\x7e\x80-\xff]*)?$`)

// Status is the status of a response, 0 if its line has none.
func (m *Message) Status() int {
	words := strings.Fields(m.Start)
	if len(words) < 2 || !strings.HasPrefix(m.Start, "HTTP/") {
		return 0
	}
	status, err := strconv.Atoi(words[1])
	if err != nil {
		return 0
	}
	return status
}

// interim tells whether another response to the same request follows.
func (m *Message) interim() bool { return m.Status() >= 100 && m.Status() < 200 && m.Status() != 101 }

// Responses reads all responses in data, the interim ones too. methods are those of the
// requests; fin says that the connection has ended by a FIN. Nothing is read behind a 101.
func (r Reader) Responses(data []byte, methods []string, fin bool) []Message {
	var all []Message
	answered := 0
	for at := r.skipEmpty(data, 0); at < len(data); at = r.skipEmpty(data, at) {
		m := r.head(data, at)
		method := "GET"
		if answered < len(methods) {
			method = methods[answered]
		}
		if m.Whole && m.Bad == "" {
			r.responseBody(data, &m, method, fin)
		}
		if !m.interim() {
			answered++
		}
		all = append(all, m)
		if !m.Whole || m.Bad != "" || m.Status() == 101 || m.Status() == 0 || m.End <= at {
			break
		}
		at = m.End
	}
	return all
}

func (r Reader) responseBody(data []byte, m *Message, method string, fin bool) {
	status := m.Status()
	if r.strict {
		if !statusLine.MatchString(latin(m.Start)) {
			m.Bad = "status line"
			return
		}
		if m.Bad = strictFraming(m, strings.HasPrefix(m.Start, "HTTP/1.0")); m.Bad != "" {
			return
		}
		if (status < 200 || status == 204) && count(m, fieldLength)+count(m, fieldCoding) > 0 {
			m.Bad = "framing in a " + strconv.Itoa(status)
			return
		}
	}
	if method == "HEAD" || status < 200 || status == 304 || status == 204 {
		return
	}
	r.body(data, m, untilEnd)
	_, hasLength := r.length(m)
	if !hasLength && !r.chunked(m) {
		m.Whole = fin
	}
}
