package health

import (
	"bytes"
	"errors"
	"io"
	"regexp"
	"time"
)

// expectMax is how many bytes of a stream are looked at: nginx's proxy_buffer_size.
const expectMax = 16 << 10

// Stream is what a check does on a plain connection. The zero value only connects.
type Stream struct {
	// Send goes to the server; nil for nothing.
	Send []byte
	// Expect must be in what comes back; nil for nothing.
	Expect []byte
	// Pattern must match what comes back; nil for none. It sees each byte as the character with
	// that number.
	Pattern *regexp.Regexp
}

// check speaks with the server.
func (s *Stream) check(l *line, limit time.Duration) fault {
	_ = l.SetDeadline(time.Now().Add(limit))
	if len(s.Send) > 0 {
		if _, err := l.Write(s.Send); err != nil {
			return failed("send()", err, whileSending)
		}
	}
	if s.Expect == nil && s.Pattern == nil {
		return fault{}
	}
	got := make([]byte, 0, 512)
	for {
		if len(got) == cap(got) {
			got = append(make([]byte, 0, min(4*cap(got), expectMax)), got...)
		}
		n, err := l.Read(got[len(got):cap(got)])
		got = got[:len(got)+n]
		switch {
		case n > 0 && s.matches(got):
			return fault{}
		case errors.Is(err, io.EOF) || len(got) == expectMax:
			return fault{found: "unexpected data", while: whileData}
		case err != nil:
			return failed("recv()", err, whileReading)
		}
	}
}

func (s *Stream) matches(got []byte) bool {
	if s.Pattern != nil {
		return s.Pattern.MatchString(Latin1(got))
	}
	return bytes.Contains(got, s.Expect)
}

// Latin1 is a text with one character for each byte, with the byte's number.
func Latin1(b []byte) string {
	text := make([]rune, len(b))
	for i, c := range b {
		text[i] = rune(c)
	}
	return string(text)
}
