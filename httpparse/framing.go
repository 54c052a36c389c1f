package httpparse

// maxLengthDigits keeps a Content-Length within an int64.
const maxLengthDigits = 18

// Framing is how the request's body is delimited (RFC 9112 section 6.3), or why the
// request is refused. Wherever two recipients could disagree about the end of the
// body it is refused, even where the RFC lets a recipient repair it: Content-Length
// beside Transfer-Encoding, repeated (also as a list of equal numbers), signed, or of
// more than 18 digits; Transfer-Encoding in HTTP/1.0, or anything but one "chunked".
// "Content-Length: 0" is BodyLength with Length 0; a request that gives neither field
// is BodyNone.
func (r *Request) Framing(buf []byte) (Framing, Error) {
	f, _, err := declaredFraming(buf, r.Fields, r.Minor)
	return f, err
}

// Framing is how the response's body is delimited (RFC 9112 section 6.3), given the
// method of its request. The fields are judged as strictly as a request's, also where
// there is no body: to HEAD, in 1xx, 204 and 304, and in 2xx to CONNECT. A response
// that gives neither field is BodyClose.
func (r *Response) Framing(buf []byte, method MethodID) (Framing, Error) {
	f, declared, err := declaredFraming(buf, r.Fields, r.Minor)
	switch {
	case err != OK:
		return Framing{}, err
	case method == MethodHead, r.Status < 200, r.Status == 204, r.Status == 304,
		method == MethodConnect && r.Status < 300:
		return Framing{Kind: BodyNone}, OK
	case !declared:
		return Framing{Kind: BodyClose}, OK
	}
	return f, OK
}

// declaredFraming is what Content-Length and Transfer-Encoding say; declared is false
// if neither is there.
func declaredFraming(buf []byte, fields []Field, minor uint8) (f Framing, declared bool, err Error) {
	var length, coding []byte
	lengths, codings := 0, 0
	for i := range fields {
		switch fields[i].ID {
		case FieldContentLength:
			lengths++
			length = fields[i].Value.Of(buf)
		case FieldTransferEncoding:
			codings++
			coding = fields[i].Value.Of(buf)
		}
	}
	switch {
	case lengths == 0 && codings == 0:
		return Framing{}, false, OK
	case lengths > 0 && codings > 0:
		return Framing{}, true, ErrLengthAndCoding
	case lengths > 1:
		return Framing{}, true, ErrLengthRepeated
	case codings > 1:
		return Framing{}, true, ErrCoding
	case codings == 1:
		err = checkCoding(coding, minor)
		if err != OK {
			return Framing{}, true, err
		}
		return Framing{Kind: BodyChunked}, true, OK
	}
	n, err := parseLength(length)
	if err != OK {
		return Framing{}, true, err
	}
	return Framing{Kind: BodyLength, Length: n}, true, OK
}

// checkCoding accepts "chunked" alone. Parameters, empty list elements and other
// codings are refused rather than understood.
func checkCoding(value []byte, minor uint8) Error {
	if minor == 0 {
		return ErrCodingVersion
	}
	if EqualFold(value, "chunked") {
		return OK
	}
	token, rest := NextToken(value)
	for token != nil {
		if !EqualFold(token, "chunked") {
			return ErrCodingUnknown
		}
		token, rest = NextToken(rest)
	}
	return ErrCoding
}

func parseLength(value []byte) (int64, Error) {
	if len(value) == 0 || len(value) > maxLengthDigits {
		return 0, ErrLength
	}
	n := int64(0)
	for _, c := range value {
		if c-'0' > 9 {
			return 0, ErrLength
		}
		n = n*10 + int64(c-'0')
	}
	return n, OK
}
