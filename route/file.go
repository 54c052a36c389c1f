package route

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

// JudgeFile decides by the request's If-Match, If-Unmodified-Since, If-None-Match,
// If-Modified-Since, Range and If-Range. Methods other than GET and HEAD are the
// caller's to refuse. The ranges stay in e until the next call.
func (e *Env) JudgeFile(f File) FileAnswer { return FileAnswer{Status: 200} }

// FileRange is the i-th part: bytes [start, end) of the file.
func (e *Env) FileRange(i int) (start, end int64) { return 0, 0 }

// AppendFileHead appends the head of the answer with f, or of a 304: Content-Type by
// the name's ending (types, default_type), Last-Modified, ETag (etag), Accept-Ranges,
// Content-Range, Content-Length of what follows.
func AppendFileHead(dst []byte, e *Env, f File, a FileAnswer, form ReplyForm) []byte { return dst }

// AppendPartHead appends what stands before the i-th part of a multipart body;
// with i = a.Ranges, what ends it.
func AppendPartHead(dst []byte, e *Env, f File, a FileAnswer, i int) []byte { return dst }

// AppendRangeError appends a whole 416 answer with its Content-Range.
func AppendRangeError(dst []byte, e *Env, f File, form ReplyForm) []byte { return dst }
