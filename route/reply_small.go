package route

import (
	"bytes"
	"strconv"
)

// Handler is what answers in a location without an upstream or files.
type Handler uint8

// The handlers.
const (
	HandlerNone   Handler = iota
	HandlerGIF            // empty_gif
	HandlerStatus         // stub_status
)

// StubNumbers are the numbers of stub_status.
type StubNumbers struct {
	Active                      uint64 // connections of clients, idle ones included
	Accepted, Handled, Requests uint64 // since the start; what was not handled was closed at once
	Reading                     uint64 // connections whose request head is being read
	Writing                     uint64 // connections with a request that is being answered
	Waiting                     uint64 // idle connections
}

// AppendStubStatus appends the whole answer of stub_status.
func AppendStubStatus(dst []byte, e *Env, n *StubNumbers, form ReplyForm) []byte {
	body := append(e.borrow(), "Active connections: "...)
	body = strconv.AppendUint(body, n.Active, 10)
	body = append(body, " \nserver accepts handled requests\n "...)
	for _, count := range [...]uint64{n.Accepted, n.Handled, n.Requests} {
		body = append(strconv.AppendUint(body, count, 10), ' ')
	}
	body = append(body, "\nReading: "...)
	body = strconv.AppendUint(body, n.Reading, 10)
	body = append(body, " Writing: "...)
	body = strconv.AppendUint(body, n.Writing, 10)
	body = append(body, " Waiting: "...)
	body = strconv.AppendUint(body, n.Waiting, 10)
	body = append(body, " \n"...)
	dst = appendSmall(dst, e, small{status: 200, contentType: "text/plain", body: body}, form)
	e.giveBack(body)
	return dst
}

// emptyGIF is a picture of one transparent pixel (GIF89a: a color table of two entries, a
// graphic control extension that makes the second transparent, one pixel of that color).
var emptyGIF = []byte{
	'G', 'I', 'F', '8', '9', 'a', 1, 0, 1, 0, 0x80, 1, 0, 0, 0, 0, 0xff, 0xff, 0xff,
	'!', 0xf9, 4, 1, 0, 0, 1, 0, ',', 0, 0, 0, 0, 1, 0, 1, 0, 0, 2, 2, 'L', 1, 0, ';',
}

// gifModified is when emptyGIF was last changed, as nginx has it.
const gifModified = "Mon, 28 Sep 1970 06:00:00 GMT"

// GIFStatus is 304 for a client that has the picture of empty_gif, else 200.
func GIFStatus(e *Env) int {
	for i := range e.Req.Fields {
		f := &e.Req.Fields[i]
		if bytes.EqualFold(f.Name.Of(e.Head), ifModifiedSince) && string(f.Value.Of(e.Head)) == gifModified {
			return 304
		}
	}
	return 200
}

var ifModifiedSince = []byte("if-modified-since")

// AppendEmptyGIF appends the whole answer of empty_gif with what GIFStatus says.
func AppendEmptyGIF(dst []byte, e *Env, status int, form ReplyForm) []byte {
	return appendSmall(dst, e, small{
		status: status, contentType: "image/gif", modified: gifModified, body: emptyGIF,
	}, form)
}

// small is an answer whose body is at hand.
type small struct {
	status                int
	contentType, modified string
	body                  []byte
}

func appendSmall(dst []byte, e *Env, a small, form ReplyForm) []byte {
	start := len(dst)
	if form.Status != 0 && a.status == 200 {
		a.status = form.Status
	}
	dst = appendReplyHead(dst, e, a.status)
	if !bodyless(a.status) {
		dst = appendContentType(dst, a.contentType)
		dst = appendLength(dst, int64(len(a.body)))
	}
	if a.modified != "" {
		dst = append(dst, "Last-Modified: "...)
		dst = append(dst, a.modified...)
		dst = append(dst, "\r\n"...)
	}
	dst = appendReplyEnd(dst, start, e, a.status, form)
	e.keepSent(dst[start:])
	if bodyless(a.status) || toHead(e) {
		return dst
	}
	return append(dst, a.body...)
}
