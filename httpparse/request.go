package httpparse

// MaxEmptyLines is how many empty lines before a request line are passed over
// (RFC 9112 section 2.2 asks for at least one).
const MaxEmptyLines = 4

// Reset makes r ready for another request. It keeps the memory of Fields and the
// setting of MaxFields.
func (r *Request) Reset() {
	*r = Request{Fields: r.Fields[:0], MaxFields: r.MaxFields}
}

// Parse reads a request head (RFC 9112 sections 2.2, 3 and 5). buf holds everything
// received so far: each call gets the bytes of the one before at the same offsets,
// and more behind them. When done, HeadLen is set and the bytes after it belong to
// the body or the next request. The spans of r are into buf; nothing of buf is kept.
//
// An answer is final: after done, or an error, further calls repeat it until Reset.
// Work is linear in the bytes received, however they are cut.
//
// Only CRLF ends a line. A bare LF, a bare CR, NUL and the other control characters
// (HTAB in values aside), folded lines and whitespace before a colon are refused.
// A method is known to be bad before its line is complete.
//
// Stricter than RFC 9112, since each of these let two parsers read one message as two:
// section 2.2 lets a recipient end a line at a bare LF, section 3 lets it split the
// request line at any whitespace, and section 5.2 lets it unfold lines.
func (r *Request) Parse(buf []byte) (done bool, err Error) {
	s := &r.scan
	if s.phase == phaseDone || s.err != OK {
		return s.phase == phaseDone, s.err
	}
	if s.phase == phaseStart {
		if s.err = r.startLine(buf); s.err != OK || s.phase == phaseStart {
			return false, s.err
		}
	}
	done, s.err = s.fieldLines(buf, &r.Fields, r.MaxFields)
	if done {
		s.phase = phaseDone
		r.HeadLen = int(s.line)
	}
	return done, s.err
}

// startLine passes over empty lines and reads the request line, if they are there.
func (r *Request) startLine(buf []byte) Error {
	s := &r.scan
	for {
		line, ok, err := s.nextLine(buf)
		switch {
		case !ok && err == OK:
			return checkMethodStart(buf[min(int(s.line), len(buf)):])
		case err == ErrLineEnd:
			if bad := checkMethodStart(line.Of(buf)); bad != OK {
				return bad
			}
			return err
		case err != OK:
			return err
		}
		if line.Len() > 0 {
			s.phase = phaseFields
			return r.requestLine(buf, line)
		}
		if s.blank++; s.blank > MaxEmptyLines {
			return ErrEmptyLines
		}
	}
}

// checkMethodStart looks at an unfinished request line, so that a client that speaks
// another protocol is refused at once and not when its head times out.
func checkMethodStart(start []byte) Error {
	if len(start) == 1 && start[0] == '\r' {
		return OK
	}
	if n, err := methodLen(start); n < len(start) {
		return err
	}
	return OK
}

// methodLen is the length of the method at the start of text; it is an error if the
// method is empty, too long or not followed by a space. Methods are case-sensitive, and
// every registered one is made of capitals and "-" (RFC 9110 section 16.1): like nginx,
// only those and "_" are taken, so that no server behind reads "get" as "GET".
func methodLen(text []byte) (int, Error) {
	n := 0
	for n < len(text) && (text[n] >= 'A' && text[n] <= 'Z' || text[n] == '-' || text[n] == '_') {
		if n == MaxMethod {
			return n, ErrMethodTooLong
		}
		n++
	}
	if n == 0 || n == len(text) || text[n] != ' ' {
		return n, ErrMethod
	}
	return n, OK
}

// requestLine reads method SP request-target SP HTTP-version (RFC 9112 section 3),
// with exactly one SP in each place. What the target means is for ParseTarget.
func (r *Request) requestLine(buf []byte, line Span) Error {
	text := line.Of(buf)
	n, err := methodLen(text)
	if err != OK {
		return err
	}
	r.Method = Span{line.Start, line.Start + uint32(n)}
	r.MethodID = MethodIDOf(text[:n])

	start := n + 1
	end := start
	for end < len(text) && classes[text[end]]&classTarget != 0 {
		end++
	}
	if end == start {
		return ErrTarget
	}
	if end == len(text) {
		return ErrVersion
	}
	if text[end] != ' ' {
		return ErrTarget
	}
	r.Target = Span{line.Start + uint32(start), line.Start + uint32(end)}
	r.Minor, err = parseVersion(text[end+1:])
	return err
}

// Find is the value of the first field with that id; it aliases buf.
func (r *Request) Find(buf []byte, id FieldID) (value []byte, ok bool) {
	return FindField(buf, r.Fields, id)
}

// FindName is the value of the first field called name, in any case; it aliases buf.
func (r *Request) FindName(buf, name []byte) (value []byte, ok bool) {
	return FindFieldName(buf, r.Fields, name)
}

// Count is the number of field lines with that id.
func (r *Request) Count(id FieldID) int { return CountField(r.Fields, id) }

// KeepAlive reports whether the client wants the connection to persist (RFC 9112
// section 9.3): in HTTP/1.1 unless Connection says close, in HTTP/1.0 only if it says
// keep-alive and not close.
func (r *Request) KeepAlive(buf []byte) bool { return persists(buf, r.Fields, r.Minor) }

func persists(buf []byte, fields []Field, minor uint8) bool {
	if ListHas(buf, fields, FieldConnection, "close") {
		return false
	}
	return minor > 0 || ListHas(buf, fields, FieldConnection, "keep-alive")
}

// Check is everything a whole head must fulfil beyond its lines: the target fits the
// method, Host is there once and well-formed, and the body has one length. It answers
// OK or the reason to refuse; call it when Parse is done.
func (r *Request) Check(buf []byte) Error {
	if _, err := ParseTarget(r.Target.Of(buf), r.MethodID); err != OK {
		return err
	}
	if err := r.checkHost(buf); err != OK {
		return err
	}
	_, err := r.Framing(buf)
	return err
}
