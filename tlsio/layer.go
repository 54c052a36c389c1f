package tlsio

import (
	"holdfast/internal/sys"
	"holdfast/pool"
	"holdfast/tlsio/info"
)

// Layer is the record layer of one shard: its connections' records, the ciphers of those
// that were active of late, and the buffers that all share. Methods are for the shard's
// thread. Connections are named by the number that Open returns.
//
// Calls that read or write return the errno of the socket, or one of these:
//
//	EAGAIN   the socket has nothing, or takes nothing more for now
//	EBADMSG  the peer broke TLS, or a record did not authenticate; an alert was sent
//	EPROTO   the peer sent a fatal alert
//
// After any but EAGAIN the connection is of no use; Problem says what it was.
type Layer struct {
	conns pool.Slab[Conn]
	bufs  *pool.Bufs
}

// NewLayer makes a layer whose connections borrow from bufs.
func NewLayer(bufs *pool.Bufs) *Layer { return &Layer{bufs: bufs} }

// Open takes an established connection over. The number is never 0.
func (l *Layer) Open(e *Established, i *info.TLS) (id uint32) { panic("not yet") }

// Close gives up a connection: its loans, ciphers and keys, which are overwritten. It
// sends nothing.
func (l *Layer) Close(id uint32) {}

// Forget gives up what the handshake found out about a connection (Info), which nobody
// will ask for any more.
func (l *Layer) Forget(id uint32) {}

// Info is what the handshake found out, nil after Forget.
func (l *Layer) Info(id uint32) *info.TLS { return nil }

// Recv reads plaintext into dst, as recv(2) does: n < len(dst) with errno 0 means that the
// socket has no more for now (but see what RDHUP means to a short read); 0 is the end of
// the stream: the peer's close_notify, or the end of the connection without one
// (Truncated). dst may have any size; what of a record doesn't fit is kept for the next
// call.
func (l *Layer) Recv(id uint32, fd int32, dst []byte) (n int, errno sys.Errno) { return 0, sys.EAGAIN }

// Unread gives plaintext back that was read, or was owed before anything that Recv would
// return: the next Recv returns it first. b is copied.
func (l *Layer) Unread(id uint32, b []byte) {}

// Buffered is how many bytes of plaintext Recv could return without the socket.
func (l *Layer) Buffered(id uint32) int { return 0 }

// AtEnd reports whether the stream has ended and Recv would return 0 next. It reads what
// the socket has as far as that takes.
func (l *Layer) AtEnd(id uint32, fd int32) bool { return false }

// Write seals b and writes it, as write(2) does, but for one thing: what it takes it
// takes for good, and records that the socket did not take are Pending. While there are
// any it takes nothing: EAGAIN. n may be smaller than len(b).
func (l *Layer) Write(id uint32, fd int32, b []byte) (n int, errno sys.Errno) { return 0, sys.EAGAIN }

// Flush writes what is pending. EAGAIN: some still is.
func (l *Layer) Flush(id uint32, fd int32) sys.Errno { return 0 }

// Pending reports whether records wait for the socket.
func (l *Layer) Pending(id uint32) bool { return false }

// CloseNotify ends our direction of the stream (RFC 8446 section 6.1) behind what is
// pending; it does not shut the socket down. EAGAIN: not yet, call it again. Once it has
// succeeded it does nothing, and Write fails with EPIPE.
func (l *Layer) CloseNotify(id uint32, fd int32) sys.Errno { return 0 }

// Truncated reports whether the stream ended without the peer's close_notify.
func (l *Layer) Truncated(id uint32) bool { return false }

// Problem is what made Recv or Write fail last with EBADMSG or EPROTO, for the log: the
// alert's name and who sent it. It is valid until the next such failure on the layer.
func (l *Layer) Problem() string { return "" }

// Trim gives up ciphers that were not used since the last call, half of them at most,
// and reports whether any are left.
func (l *Layer) Trim() (more bool) { return false }

// Len is the number of open connections.
func (l *Layer) Len() int { return 0 }
