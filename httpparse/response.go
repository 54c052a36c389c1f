package httpparse

import "bytes"

var crlf = []byte("\r\n")

// Reset makes r ready for another response. It keeps the memory of Fields and the
// setting of MaxFields.
func (r *Response) Reset() {
	*r = Response{Fields: r.Fields[:0], MaxFields: r.MaxFields}
}

// Parse reads a response head (RFC 9112 sections 4 and 5) under the same contract and
// with the same strictness as Request.Parse. No empty line may precede it. An interim
// response (1xx) is a head of its own: Reset and parse what follows HeadLen.
//
// Stricter than RFC 9112: section 5.1 lets a proxy remove whitespace before a colon. A
// status above 599 is accepted, as RFC 9110 section 15 asks.
func (r *Response) Parse(buf []byte) (done bool, err Error) {
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

func (r *Response) startLine(buf []byte) Error {
	s := &r.scan
	line, ok, err := s.nextLine(buf)
	switch {
	case !ok && err == OK:
		return checkStatusStart(buf)
	case err == ErrLineEnd:
		if bad := checkStatusStart(line.Of(buf)); bad != OK {
			return bad
		}
		return err
	case err != OK:
		return err
	}
	s.phase = phaseFields
	return r.statusLine(buf, line)
}

// checkStatusStart looks at an unfinished status line, so that an upstream that does
// not speak HTTP is known before a timeout.
func checkStatusStart(start []byte) Error {
	const name = "HTTP/"
	n := min(len(start), len(name))
	if string(start[:n]) != name[:n] {
		return ErrStatusLine
	}
	return OK
}

// statusLine reads HTTP-version SP status-code [ SP reason-phrase ]. The space before
// an empty reason is required by RFC 9112 section 4, and left out by many servers.
func (r *Response) statusLine(buf []byte, line Span) Error {
	const versionLen, codeEnd = len("HTTP/1.1"), len("HTTP/1.1 200")
	text := line.Of(buf)
	if len(text) < codeEnd || string(text[:5]) != "HTTP/" || text[versionLen] != ' ' {
		return ErrStatusLine
	}
	minor, err := parseVersion(text[:versionLen])
	if err != OK {
		return err
	}
	status := 0
	for _, c := range text[versionLen+1 : codeEnd] {
		if c-'0' > 9 {
			return ErrStatusLine
		}
		status = status*10 + int(c-'0')
	}
	if status < 100 {
		return ErrStatusLine
	}
	reason := Span{line.End, line.End}
	if len(text) > codeEnd {
		if text[codeEnd] != ' ' || hasControl(text[codeEnd:]) {
			return ErrStatusLine
		}
		reason.Start = line.Start + uint32(codeEnd) + 1
	}
	r.Status, r.Minor, r.Reason = status, minor, reason
	return OK
}

// Find is the value of the first field with that id; it aliases buf.
func (r *Response) Find(buf []byte, id FieldID) (value []byte, ok bool) {
	return FindField(buf, r.Fields, id)
}

// FindName is the value of the first field called name, in any case; it aliases buf.
func (r *Response) FindName(buf, name []byte) (value []byte, ok bool) {
	return FindFieldName(buf, r.Fields, name)
}

// Count is the number of field lines with that id.
func (r *Response) Count(id FieldID) int { return CountField(r.Fields, id) }

// KeepAlive reports whether the upstream lets the connection persist after this
// response (RFC 9112 section 9.3), as Request.KeepAlive does for a request. A body
// that ends with the connection (BodyClose) rules it out whatever the fields say.
func (r *Response) KeepAlive(buf []byte) bool { return persists(buf, r.Fields, r.Minor) }

// BadField is the start of the field line that Parse has refused, up to the byte bad that a field
// can't have there; ok is false if something else was wrong. It aliases buf.
func (r *Response) BadField(buf []byte) (start []byte, bad byte, ok bool) {
	if e := r.scan.err; e != ErrFieldName && e != ErrFieldSpace && e != ErrFieldFold && e != ErrFieldValue {
		return nil, 0, false
	}
	line := bytes.TrimSuffix(buf[:min(int(r.scan.line), len(buf))], crlf)
	line = line[bytes.LastIndexByte(line, '\n')+1:]
	at := 0
	for at < len(line) && classes[line[at]]&classToken != 0 {
		at++
	}
	if r.scan.err == ErrFieldValue {
		for at < len(line) && !hasControl(line[at:at+1]) {
			at++
		}
	}
	if at == len(line) { // no colon
		return line, '\r', true
	}
	return line[:at], line[at], true
}
