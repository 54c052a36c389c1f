package route

import "strconv"

// try is what is known of one try with an upstream's peer.
type try struct {
	addr                            string
	status                          int
	connectMs, headerMs, responseMs int64
	sent, received, length          int64
	left                            bool // another upstream was asked behind it: " : " follows, not ", "
}

// tries are the tries before the present one, which is in Env's own fields.
type tries struct {
	earlier                    []try
	present                    try  // while it is rendered
	leaves                     bool // the next try is with another upstream
	asking                     bool // the request is rendered: as in nginx no try with this upstream is in the lists
	sentBefore, receivedBefore int64
}

// reset keeps the memory that the list has grown, without what it referred to.
func (t *tries) reset() tries {
	clear(t.earlier)
	return tries{earlier: t.earlier[:0]}
}

// BeginTry makes the peer addr the one that is tried now; the try before joins the lists of
// the $upstream_ variables. sent is how many bytes went to upstreams so far.
func (e *Env) BeginTry(addr string, sent int64) {
	e.UpstreamBytesSent = sent
	if e.UpstreamAddr != "" {
		e.tries.earlier = append(e.tries.earlier, e.presentTry())
		e.tries.earlier[len(e.tries.earlier)-1].left = e.tries.leaves
	}
	e.tries.leaves = false
	e.tries.sentBefore, e.tries.receivedBefore = sent, e.UpstreamBytesReceived
	e.UpstreamAddr, e.UpstreamStatus = addr, 0
	e.UpstreamConnectMs, e.UpstreamHeaderMs, e.UpstreamResponseMs = -1, -1, -1
	e.UpstreamResponseLength = 0
}

// FailTry notes that the present try ended ms milliseconds after its start, for a reason that
// has this status; 0 leaves the status that there is.
func (e *Env) FailTry(status int, ms int64) {
	if status != 0 {
		e.UpstreamStatus = status
	}
	if e.UpstreamResponseMs < 0 {
		e.UpstreamResponseMs = ms
	}
}

// LeaveUpstream says that the next try is with another upstream (an internal redirect).
func (e *Env) LeaveUpstream() { e.tries.leaves = true }

// forgetTries forgets the tries before the present one.
func (e *Env) forgetTries() { e.tries = e.tries.reset() }

func (e *Env) presentTry() try {
	return try{
		addr: e.UpstreamAddr, status: e.UpstreamStatus,
		connectMs: e.UpstreamConnectMs, headerMs: e.UpstreamHeaderMs, responseMs: e.UpstreamResponseMs,
		sent:     max(e.UpstreamBytesSent-e.tries.sentBefore, 0),
		received: max(e.UpstreamBytesReceived-e.tries.receivedBefore, 0),
		length:   e.UpstreamResponseLength,
	}
}

// appendTries appends what part says of all tries as a list: ", " between peers of one
// upstream, " : " between upstreams (ngx_http_upstream_module).
func (e *Env) appendTries(dst []byte, part func([]byte, *try) []byte) ([]byte, bool) {
	if e.UpstreamAddr == "" {
		return dst, false
	}
	if e.tries.asking {
		return e.appendLeft(dst, part)
	}
	dst = e.appendEarlier(dst, part)
	e.tries.present = e.presentTry()
	return part(dst, &e.tries.present), true
}

// asked says that the request is rendered.
func (e *Env) asked() { e.tries.asking = false }

// appendLeft appends the tries with the upstreams before the present one.
func (e *Env) appendLeft(dst []byte, part func([]byte, *try) []byte) ([]byte, bool) {
	all := e.tries.earlier
	last := len(all) - 1
	for last >= 0 && !all[last].left {
		last--
	}
	if last < 0 {
		return dst, false
	}
	e.tries.earlier = all[:last]
	dst = e.appendEarlier(dst, part)
	e.tries.earlier = all
	return part(dst, &all[last]), true
}

// appendEarlier appends the tries before the present one, with what separates them from it.
func (e *Env) appendEarlier(dst []byte, part func([]byte, *try) []byte) []byte {
	for i := range e.tries.earlier {
		t := &e.tries.earlier[i]
		dst = part(dst, t)
		if t.left {
			dst = append(dst, " : "...)
		} else {
			dst = append(dst, ", "...)
		}
	}
	return dst
}

// listsTries tells the holes of variables that are lists of tries.
func (h hole) listsTries() bool {
	return h == holeUpstreamBytesReceived || h == holeUpstreamBytesSent || h == holeUpstreamSession
}

// appendEarlierTries appends the part of such a list that is known when a tunnel opens.
func (e *Env) appendEarlierTries(dst []byte, h hole) []byte {
	switch h {
	case holeUpstreamBytesReceived:
		return e.appendEarlier(dst, tryReceived)
	case holeUpstreamBytesSent:
		return e.appendEarlier(dst, trySent)
	}
	return e.appendEarlier(dst, tryResponse)
}

func tryAddr(dst []byte, t *try) []byte     { return append(dst, t.addr...) }
func tryConnect(dst []byte, t *try) []byte  { return appendMaybe(dst, t.connectMs) }
func tryHeader(dst []byte, t *try) []byte   { return appendMaybe(dst, t.headerMs) }
func tryResponse(dst []byte, t *try) []byte { return appendMaybe(dst, t.responseMs) }
func tryLength(dst []byte, t *try) []byte   { return strconv.AppendInt(dst, t.length, 10) }
func trySent(dst []byte, t *try) []byte     { return strconv.AppendInt(dst, t.sent, 10) }
func tryReceived(dst []byte, t *try) []byte { return strconv.AppendInt(dst, t.received, 10) }

func tryStatus(dst []byte, t *try) []byte {
	if t.status == 0 {
		return append(dst, '-')
	}
	return strconv.AppendInt(dst, int64(t.status), 10)
}

func varUpstreamAddr(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return e.appendTries(dst, tryAddr)
}

func varUpstreamStatus(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return e.appendTries(dst, tryStatus)
}

func varUpstreamConnectTime(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return e.appendTries(dst, tryConnect)
}

func varUpstreamHeaderTime(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return e.appendTries(dst, tryHeader)
}

func varUpstreamResponseTime(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return e.appendTries(dst, tryResponse)
}

func varUpstreamResponseLength(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return e.appendTries(dst, tryLength)
}

func varUpstreamBytesSent(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return e.appendTries(dst, trySent)
}

func varUpstreamBytesReceived(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return e.appendTries(dst, tryReceived)
}
