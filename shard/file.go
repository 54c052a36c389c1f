package shard

import (
	"bytes"

	"holdfast/httpparse"
	"holdfast/internal/sys"
	"holdfast/observe"
	"holdfast/route"
)

// FilesMax is how many files a shard has open at a time to send them. Past it requests
// for more than smallFile bytes get a 503.
const FilesMax = 256

// smallFile is how much of a file is read at once and sent with the head, in bytes.
const smallFile = 16 << 10

// tryFiles looks for the first file of try_files that is there (nginx: no symbolic link
// is refused, and the folder or file is not opened yet).
func (sh *Shard) tryFiles(s *Session, r *Request) (goOn bool) {
	l, e := r.location, &r.env
	if l.Static == nil {
		sh.refuse(s, 404)
		return false
	}
	for i := range l.Static.Tries() {
		uri, path, folder := l.Static.AppendTry(sh.uri[:0], sh.path[:0], e, i)
		sh.uri, sh.path = uri[:0], path[:0]
		want := sys.FileRegular
		if folder {
			want = sys.FileFolder
		}
		info, errno := sh.stat(path)
		if errno == 0 && info.Kind == want && !climbs(uri) {
			e.SetTried(uri)
			return true
		}
	}
	switch other := l.TryElse; {
	case other.Code == route.CodeNoAnswer:
		sh.closeUnanswered(s, r)
	case other.Code != 0:
		sh.refuse(s, other.Code)
	case other.Named != "":
		sh.goNamed(s, r, other.Named)
	default:
		sh.goInside(s, r, other.Target(e))
	}
	return false
}

// stat is sys.StatFile for a name without its NUL.
func (sh *Shard) stat(path []byte) (sys.FileInfo, sys.Errno) {
	path = append(path, 0)
	sh.path = path[:0]
	return sys.StatFile(path)
}

// serveFile answers with the file, or the index of the folder, that the path stands
// for. As in nginx a POST is refused where there is a file: an index may be elsewhere.
func (sh *Shard) serveFile(s *Session, r *Request) {
	e := &r.env
	reads := r.asGet || r.req.MethodID == httpparse.MethodGet || r.req.MethodID == httpparse.MethodHead
	if !reads && r.req.MethodID != httpparse.MethodPost {
		sh.refuse(s, 405)
		return
	}
	if len(e.URI) == 0 || e.URI[0] != '/' || climbs(e.URI) {
		sh.refuse(s, 404)
		return
	}
	if e.URI[len(e.URI)-1] == '/' {
		sh.serveIndex(s, r)
		return
	}
	path := append(r.location.Static.AppendPath(sh.path[:0], e), 0)
	sh.path = path[:0]
	fd, info, errno := sys.OpenFile(path)
	if errno != 0 {
		sh.fileFailed(s, r, path, errno)
		return
	}
	switch {
	case info.Kind == sys.FileRegular && reads:
		sh.answerFile(s, r, fd, info)
		return
	case info.Kind == sys.FileRegular:
		sh.refuse(s, 405)
	case info.Kind == sys.FileFolder:
		r.status = 0
		form := sh.beginReply(s, r, 301)
		sh.finishReply(s, r, 301, route.AppendFolderRedirect(sh.out[:0], e, form))
	default:
		text := append(observe.AppendQuoted(sh.words(), path[:len(path)-1]), " is not a regular file"...)
		sh.logText(s, observe.LevelCrit, "is not a regular file", text)
		sh.refuse(s, 404)
	}
	sys.Close(fd)
}

// climbs reports whether a path could lead out of its folder. A client's own has no
// segment ".." any more, but one that variables bring may, and an alias that cuts a
// segment in two leaves one: "/i../x" in location /i. So no segment may end in "..".
func climbs(uri []byte) bool {
	return bytes.Contains(uri, dotsSlash) || bytes.HasSuffix(uri, dotsSlash[:2])
}

var dotsSlash = []byte("../")

// serveIndex sends the request on to the first index file that is there.
func (sh *Shard) serveIndex(s *Session, r *Request) {
	e, static := &r.env, r.location.Static
	for i := range static.Index() {
		uri := append(sh.uri[:0], e.URI...)
		base := len(uri)
		uri = static.AppendIndex(uri, e, i)
		sh.uri = uri[:0]
		if len(uri) > base && uri[base] == '/' {
			sh.goInside(s, r, uri[base:])
			return
		}
		path := static.AppendPath(sh.path[:0], e)
		path = append(path, uri[base:]...)
		if info, errno := sh.stat(path); errno == 0 && info.Kind == sys.FileRegular {
			sh.goIndex(s, r, uri)
			return
		}
	}
	path := static.AppendPath(sh.path[:0], e)
	info, errno := sh.stat(path)
	switch {
	case errno != 0:
		sh.indexFailed(s, r, path, errno)
	case info.Kind != sys.FileFolder:
		sh.refuse(s, 404)
	default:
		text := observe.AppendQuoted(append(sh.words(), "directory index of "...), path)
		sh.logText(s, observe.LevelError, "directory index is forbidden", append(text, " is forbidden"...))
		sh.refuse(s, 403)
	}
}

// indexFailed answers for a folder that is not there, or may not be looked into.
func (sh *Shard) indexFailed(s *Session, r *Request, path []byte, errno sys.Errno) {
	status, why := 404, " is not found "
	if errno == sys.EACCES {
		status, why = 403, " is forbidden "
	}
	if status == 403 || r.settings().LogNotFound {
		if static := r.location.Static; static.Index() > 0 {
			path = static.AppendIndex(path, &r.env, 0)
		}
		text := append(observe.AppendQuoted(sh.words(), path), why...)
		sh.logText(s, observe.LevelError, why, appendErrno(text, errno))
	}
	sh.refuse(s, status)
}

// goIndex sends the request to an index file, whose name may have a "?".
func (sh *Shard) goIndex(s *Session, r *Request, uri []byte) {
	if !sh.hop(s, r) {
		return
	}
	r.env.SetPath(uri)
	sh.startPhases(s, r, phaseServerRewrite)
}

// fileFailed answers for a file that could not be opened. path has its NUL.
func (sh *Shard) fileFailed(s *Session, r *Request, path []byte, errno sys.Errno) {
	name := path[:len(path)-1]
	switch errno {
	case sys.ENOENT, sys.ENOTDIR, sys.ENAMETOOLONG:
		if r.settings().LogNotFound {
			sh.logOpen(s, observe.LevelError, name, errno)
		}
		sh.refuse(s, 404)
	case sys.EACCES, sys.ELOOP:
		sh.logOpen(s, observe.LevelError, name, errno)
		sh.refuse(s, 403)
	default:
		sh.logOpen(s, observe.LevelCrit, name, errno)
		sh.refuse(s, 500)
	}
}

// logOpen logs that a file could not be opened.
func (sh *Shard) logOpen(s *Session, level observe.Level, path []byte, errno sys.Errno) {
	text := append(observe.AppendQuoted(append(sh.words(), "open() "...), path), " failed "...)
	sh.logText(s, level, "open() failed", appendErrno(text, errno))
}

// answerFile answers with an open file, which it takes over.
func (sh *Shard) answerFile(s *Session, r *Request, fd int32, info sys.FileInfo) {
	e := &r.env
	meta := route.File{Size: info.Size, ModifiedSec: info.ModifiedSec}
	answer := route.FileAnswer{Status: 200}
	if !r.paged {
		answer = e.JudgeFile(meta)
	}
	sh.boundary++
	answer.Boundary = sh.boundary
	r.file = file{fd: fd, open: true, meta: meta, answer: answer, end: info.Size}
	sh.files++
	switch {
	case answer.Status == 416:
		sh.closeFile(r)
		if !sh.errorPage(s, r, 416) {
			form := sh.beginReply(s, r, 416)
			sh.finishReply(s, r, 416, route.AppendRangeError(sh.out[:0], e, meta, form))
		}
		return
	case answer.Status == 412:
		sh.closeFile(r)
		sh.refuse(s, 412)
		return
	case sh.files > FilesMax && info.Size > smallFile && answer.Status != 304 && r.req.MethodID != httpparse.MethodHead:
		sh.closeFile(r)
		sh.logError(s, observe.LevelAlert, "too many files are open to be sent", nil)
		sh.refuse(s, 503)
		return
	}
	form := sh.beginReply(s, r, answer.Status)
	out := route.AppendFileHead(sh.out[:0], e, meta, answer, form)
	if answer.Status == 304 || r.bodyless() || r.req.MethodID == httpparse.MethodHead || info.Size == 0 {
		sh.closeFile(r)
	} else if answer.Ranges == 1 {
		r.file.at, r.file.end = e.FileRange(0)
	} else if answer.Ranges > 1 {
		r.file.end = 0
	}
	if f := &r.file; f.open && answer.Ranges <= 1 && f.end-f.at <= smallFile {
		out = sh.appendSmall(r, out)
	}
	sh.finishReply(s, r, answer.Status, out)
}

// appendSmall appends what is to be sent of a small file, and closes it. One that has
// become shorter meanwhile stays open for pumpFile to find that out.
func (sh *Shard) appendSmall(r *Request, out []byte) []byte {
	f := &r.file
	for f.at < f.end {
		room := out[len(out):cap(out)]
		if len(room) == 0 {
			return out
		}
		n, errno := sys.ReadFileAt(f.fd, room[:min(f.end-f.at, int64(len(room)))], f.at)
		if errno != 0 || n == 0 {
			return out
		}
		out = out[:len(out)+n]
		f.at += int64(n)
	}
	sh.closeFile(r)
	return out
}
