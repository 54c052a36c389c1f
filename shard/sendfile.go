package shard

import (
	"holdfast/internal/sys"
	"holdfast/observe"
	"holdfast/relay"
	"holdfast/route"
)

// file is an open file on its way to the client, as a whole or in ranges.
type file struct {
	at, end int64 // what is left of the present range
	meta    route.File
	answer  route.FileAnswer
	part    int // of a multipart body: the next range
	fd      int32
	open    bool
}

// fileStep bounds the bytes of one sendfile, so that other sessions get their turn.
const fileStep = 256 << 10

// pumpFile sends what the client takes. done means that all is sent, ok that the
// socket has not failed. The session may be closed: the file has become shorter.
func (sh *Shard) pumpFile(s *Session, r *Request) (done, ok bool) {
	f := &r.file
	for range pumpRounds {
		if f.at == f.end {
			if f.part > f.answer.Ranges || f.answer.Ranges <= 1 {
				sh.closeFile(r)
				return sh.flush(&s.Down, &r.down)
			}
			if ok = sh.nextPart(s, r); !ok {
				return false, false
			}
			continue
		}
		if r.down.pending() {
			if done, ok = sh.flush(&s.Down, &r.down); !done {
				return false, ok
			}
		}
		if s.Down.Bits&relay.CanWrite == 0 {
			return false, true
		}
		step := sh.room(&r.down, int(min(f.end-f.at, fileStep)))
		if step == 0 {
			return false, true
		}
		n, errno := sh.sendFile(s, r, step)
		switch {
		case errno == sys.EAGAIN:
			s.Down.Bits &^= relay.CanWrite
			return false, true
		case errno != 0:
			s.Down.Err = uint8(errno)
			return false, false
		case n == 0:
			sh.logError(s, observe.LevelError, "a file became shorter while it was sent", nil)
			sh.close(s, observe.ReasonAborted, observe.SideProxy)
			return false, true
		}
		f.at += int64(n)
	}
	sh.enqueue(s)
	return false, true
}

// sendFile moves up to n bytes of the file to the client, without copying them where
// sendfile allows it. n is 0 at the file's end.
func (sh *Shard) sendFile(s *Session, r *Request, n int) (moved int, errno sys.Errno) {
	f := &r.file
	if r.settings().Sendfile && s.Down.TLS() == 0 {
		moved, errno = sys.SendFile(s.Down.FD, f.fd, f.at, n)
		if errno != sys.EINVAL && errno != sys.ENOSYS {
			r.down.sent += int64(moved)
			return moved, errno
		}
	}
	raw := sh.mover.Scratch
	if n, errno = sys.ReadFileAt(f.fd, raw[:min(n, len(raw))], f.at); errno != 0 || n == 0 {
		return 0, 0
	}
	if !sh.send(&s.Down, &r.down, raw[:n]) {
		return 0, sys.Errno(s.Down.Err)
	}
	return n, 0
}

// nextPart sends the head of the next range of a multipart body, or what ends it.
func (sh *Shard) nextPart(s *Session, r *Request) (ok bool) {
	f := &r.file
	out := route.AppendPartHead(sh.out[:0], &r.env, f.meta, f.answer, f.part)
	sh.out = out[:0]
	if f.part < f.answer.Ranges {
		f.at, f.end = r.env.FileRange(f.part)
	}
	f.part++
	return sh.send(&s.Down, &r.down, out)
}

// closeFile closes the file of a request, if one is open.
func (sh *Shard) closeFile(r *Request) {
	if r.file.open {
		sys.Close(r.file.fd)
		sh.files--
	}
	r.file = file{}
}
