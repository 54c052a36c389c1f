package shard

import (
	"strconv"

	"holdfast/httpparse"
	"holdfast/internal/sys"
	"holdfast/observe"
)

// failure is why a try with one peer came to nothing.
type failure uint8

const (
	failConnect failure = iota
	failConnectTimeout
	failSend
	failSendTimeout
	failReadTimeout
	failClosed  // the upstream closed or reset before a response head
	failInvalid // the upstream's head breaks HTTP
	failHandshake
	failHandshakeTimeout
	failStatus // an answer whose status proxy_next_upstream names
)

// failures has, for each failure, the status of the answer if no other peer is
// tried, the close reason, and nginx's texts for the error log: of the failure, where its
// system call had no error, of that call, and of what was being done.
var failures = [...]struct {
	status  int
	reason  observe.CloseReason
	timeout bool
	text    string
	call    string
	doing   string
}{
	failConnect: {502, observe.ReasonConnectFailed, false,
		"connect() failed" + connecting, "connect()", connecting},
	failConnectTimeout: {504, observe.ReasonConnectTimeout, true,
		timedOut + connecting, "", connecting},
	failSend: {502, observe.ReasonReset, false,
		"writev() failed" + sending, "writev()", sending},
	failSendTimeout: {504, observe.ReasonSendTimeout, true,
		timedOut + sending, "", sending},
	failReadTimeout: {504, observe.ReasonReadTimeout, true,
		timedOut + reading, "", reading},
	failClosed: {502, observe.ReasonReset, false,
		"upstream prematurely closed connection" + reading, "recv()", reading},
	failInvalid:   {502, observe.ReasonBadResponse, false, "", "", reading},
	failHandshake: {502, observe.ReasonTLS, false, "", "SSL_do_handshake()", shakingHands},
	failHandshakeTimeout: {504, observe.ReasonConnectTimeout, true,
		timedOut + shakingHands, "", shakingHands},
	failStatus: {502, observe.ReasonBadResponse, false, "", "", reading},
}

// What nginx says of who is too slow, and of what is done with an upstream.
const (
	timedOut       = "upstream timed out (110: Connection timed out)"
	clientTimedOut = "client timed out (110: Connection timed out)"

	connecting   = " while connecting to upstream"
	shakingHands = " while SSL handshaking to upstream"
	sending      = " while sending request to upstream"
	reading      = " while reading response header from upstream"
	readingBody  = " while reading upstream"
)

// disabled are the lines about peers that a failure was one too many for.
var disabled = func() (lines [len(failures)]string) {
	for f := range failures {
		lines[f] = "upstream server temporarily disabled" + failures[f].doing
	}
	return lines
}()

// logFailure logs why a try came to nothing; errno is that of the failed system call, if one
// failed.
func (sh *Shard) logFailure(s *Session, f failure, errno sys.Errno) {
	what := &failures[f]
	if errno == 0 {
		sh.logError(s, observe.LevelError, what.text, nil)
		return
	}
	text := append(sh.words(), what.call...)
	text = appendErrno(append(text, " failed "...), errno)
	sh.logText(s, observe.LevelError, what.call, append(text, what.doing...))
}

// logBadResponse logs why the head of a response in data is refused: in nginx's words, where
// nginx would refuse it too.
func (sh *Shard) logBadResponse(s *Session, r *Request, data []byte, perr httpparse.Error) {
	switch perr {
	case httpparse.ErrStatusLine:
		sh.logError(s, observe.LevelError, "upstream sent no valid HTTP/1.0 header"+reading, nil)
		return
	case httpparse.ErrHeadTooLarge:
		sh.logError(s, observe.LevelError, "upstream sent too big header"+reading, nil)
		return
	}
	line, bad, ok := r.resp.BadField(data)
	if !ok {
		sh.logInvalid(s, perr.String())
		return
	}
	const digits = "0123456789abcdef"
	text := observe.AppendQuoted(append(sh.words(), "upstream sent invalid header: "...), line)
	text = append(text[:len(text)-1], '\\', 'x', digits[bad>>4], digits[bad&15])
	sh.logText(s, observe.LevelError, "upstream sent invalid header", append(append(text, `..."`...), reading...))
}

// logInvalid logs why a response is refused that nginx would take.
func (sh *Shard) logInvalid(s *Session, why string) {
	text := append(append(sh.words(), "upstream sent invalid header: "...), why...)
	sh.logText(s, observe.LevelError, "upstream sent invalid header", append(text, reading...))
}

// appendErrno appends the number and the text of errno, as nginx and strerror(3) have it.
func appendErrno(dst []byte, errno sys.Errno) []byte {
	dst = strconv.AppendInt(append(dst, '('), int64(errno), 10)
	dst = append(dst, ": "...)
	at := len(dst)
	if dst = append(dst, errno.Error()...); dst[at] >= 'a' && dst[at] <= 'z' {
		dst[at] -= 'a' - 'A'
	}
	return append(dst, ')')
}
