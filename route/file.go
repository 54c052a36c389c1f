package route

import "strconv"

// File is what the caller knows of a file it has opened.
type File struct {
	Size        int64 // bytes
	ModifiedSec int64 // seconds since 1970
}

// FileAnswer is how a request for a file is answered (RFC 9110 sections 13 and 14).
type FileAnswer struct {
	// Status is 200, 206, 304, 412 or 416; for the last two the caller sends an error.
	Status int
	// Ranges is how many parts of the file are sent: 0 for the whole or nothing. With
	// more than one the body is multipart/byteranges.
	Ranges int
	// Boundary numbers a multipart body; the caller sets it to something that is not
	// used twice.
	Boundary uint64
}

// RangesMax bounds the ranges of a request that are answered; past it, and past
// max_ranges, the answer is the whole file.
const RangesMax = 16

// FileRange is the i-th part: bytes [start, end) of the file.
func (e *Env) FileRange(i int) (start, end int64) { return e.ranges[i].start, e.ranges[i].end }

// AppendFileHead appends the head of the answer with f, or of a 304: Content-Type by
// the ending of URI (types, default_type), Last-Modified, ETag (etag), Accept-Ranges,
// Content-Range, Content-Length of what follows. form.Status takes the place of a 200.
func AppendFileHead(dst []byte, e *Env, f File, a FileAnswer, form ReplyForm) []byte {
	start := len(dst)
	status := a.Status
	if status == 200 && form.Status != 0 {
		status = form.Status
	}
	added, gone := []byte(nil), givenWay(0)
	s := e.settings()
	if s != nil && s.Headers != nil {
		if e.keepsSent() {
			whole := FileAnswer{Status: a.Status} // nginx comes to the ranges later
			draft := appendFileHead(e.borrow(), e, f, whole, fileHead{status: status, keepalive: form.Keepalive})
			e.keepSent(draft)
			e.giveBack(draft)
		}
		added, gone = s.Headers.append(e.borrow(), e, status, f.ModifiedSec)
	}
	dst = appendFileHead(dst, e, f, a, fileHead{status, form.Keepalive, added, gone})
	if added != nil {
		e.giveBack(added)
	}
	e.keepSent(dst[start:])
	return dst
}

// fileHead is what there is to say about the head of the answer with a file: what add_header and
// expires have added, and which fields are gone for them.
type fileHead struct {
	status    int
	keepalive bool
	added     []byte
	gone      givenWay
}

func appendFileHead(dst []byte, e *Env, f File, a FileAnswer, h fileHead) []byte {
	s, status := e.settings(), h.status
	dst = appendReplyHead(dst, e, status)
	if !bodyless(status) {
		dst = appendFileBodyFields(dst, e, f, a)
	}
	if h.gone&goneLastModified == 0 && (status == 200 || status == 206 || status == 304) {
		dst = append(dst, "Last-Modified: "...)
		// Never later than Date (RFC 9110 section 8.8.2.1).
		dst = appendDate(dst, min(f.ModifiedSec, e.nowSec()))
		dst = append(dst, "\r\n"...)
	}
	if h.gone&goneETag == 0 && s != nil && s.ETag {
		dst = append(dst, "ETag: "...)
		dst = f.appendETag(dst)
		dst = append(dst, "\r\n"...)
	}
	dst = e.appendCarried(dst, true)
	if status == 200 && s != nil && s.MaxRanges != 0 && len(e.carried.rangeLine) == 0 {
		dst = append(dst, "Accept-Ranges: bytes\r\n"...)
	}
	if dst = e.appendHeld(dst); status == 401 {
		dst = appendChallenge(dst, e)
	}
	dst = appendConnectionField(append(dst, h.added...), e, h.keepalive)
	return append(dst, "\r\n"...)
}

// appendFileBodyFields appends what a head says about the body behind it.
func appendFileBodyFields(dst []byte, e *Env, f File, a FileAnswer) []byte {
	if a.Ranges > 1 {
		dst = append(dst, "Content-Type: multipart/byteranges; boundary="...)
		dst = appendBoundary(dst, a.Boundary)
		dst = append(dst, "\r\n"...)
		return appendLength(dst, e.multipartLength(f, a))
	}
	dst = appendContentType(dst, e.fileType())
	if a.Ranges == 0 {
		return appendLength(dst, f.Size)
	}
	dst = appendContentRange(dst, e.ranges[0], f.Size)
	return appendLength(dst, e.ranges[0].end-e.ranges[0].start)
}

// fileType is the media type of the file (types, default_type).
func (e *Env) fileType() string {
	if s := e.settings(); s != nil {
		return e.contentType(s.DefaultType)
	}
	return e.contentType("")
}

// multipartLength is the length in bytes of a whole multipart body.
func (e *Env) multipartLength(f File, a FileAnswer) (n int64) {
	buf := e.borrow()
	for i := range a.Ranges + 1 {
		buf = AppendPartHead(buf[:0], e, f, a, i)
		n += int64(len(buf))
	}
	for _, r := range e.ranges {
		n += r.end - r.start
	}
	e.giveBack(buf)
	return n
}

// AppendPartHead appends what stands before the i-th part of a multipart body;
// with i = a.Ranges, what ends it (RFC 9110 section 14.6).
func AppendPartHead(dst []byte, e *Env, f File, a FileAnswer, i int) []byte {
	dst = append(dst, "\r\n--"...)
	dst = appendBoundary(dst, a.Boundary)
	if i == a.Ranges {
		return append(dst, "--\r\n"...)
	}
	dst = append(dst, "\r\n"...)
	dst = appendContentType(dst, e.fileType())
	dst = appendContentRange(dst, e.ranges[i], f.Size)
	return append(dst, "\r\n"...)
}

// appendBoundary appends a number with as many digits as the largest has.
func appendBoundary(dst []byte, n uint64) []byte {
	const digits = len("18446744073709551615")
	var room [digits]byte
	text := strconv.AppendUint(room[:0], n, 10)
	for range digits - len(text) {
		dst = append(dst, '0')
	}
	return append(dst, text...)
}

func appendContentRange(dst []byte, r byteRange, size int64) []byte {
	dst = append(dst, "Content-Range: bytes "...)
	dst = strconv.AppendInt(dst, r.start, 10)
	dst = append(dst, '-')
	dst = strconv.AppendInt(dst, r.end-1, 10)
	dst = append(dst, '/')
	dst = strconv.AppendInt(dst, size, 10)
	return append(dst, "\r\n"...)
}

// AppendRangeError appends a whole 416 answer with its Content-Range (RFC 9110 section
// 15.5.17).
func AppendRangeError(dst []byte, e *Env, f File, form ReplyForm) []byte {
	field := append(e.borrow(), "Content-Range: bytes */"...)
	field = strconv.AppendInt(field, f.Size, 10)
	field = append(field, "\r\n"...)
	dst = appendPage(dst, e, 416, field, form)
	e.giveBack(field)
	return dst
}
