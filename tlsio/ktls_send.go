package tlsio

import "holdfast/internal/sys"

// writeKernel is Write where the kernel seals the records. What it takes may wait in the
// kernel's TLS for room in the socket, where a shutdown or a close would not wait for it:
// then it is Pending, until the socket is writable and the rest has gone.
func (l *Layer) writeKernel(id uint32, c *Conn, fd int32, b []byte) (n int, errno sys.Errno) {
	if errno := l.flushKernel(c, fd); errno != 0 {
		return 0, errno
	}
	if c.out.Seq >= l.endAfter {
		l.fail(id, fd, alertInternalError, "too many records under one key")
		return 0, sys.EBADMSG
	}
	if c.is(flagOwed) || !c.is(flagTLS12) && l.kernel.Rekey && c.out.Seq >= l.rekeyAfter {
		if errno := l.renewOut(id, c, fd); errno != 0 {
			return 0, errno
		}
	}
	n, errno = sys.Write(fd, b)
	if errno != 0 && errno != sys.EAGAIN {
		l.deadOut(id, c, errno)
		return 0, errno
	}
	c.out.Seq += uint64(n/plainMax) + 1 // at least as many as there were
	if n < len(b) || !sys.Writable(fd) {
		c.flags |= flagKernelFull
	}
	return n, errno
}

// renewOut announces the next key for writing (RFC 8446 section 4.6.3) and takes it.
func (l *Layer) renewOut(id uint32, c *Conn, fd int32) sys.Errno {
	if !l.kernel.Rekey {
		l.fail(id, fd, alertInternalError, "KeyUpdate asked for, and the kernel can't replace keys (ssl_ktls)")
		return sys.EBADMSG
	}
	l.control = [5]byte{messageKeyUpdate, 0, 0, 1, 0}
	errno := sys.SendRecord(fd, typeHandshake, l.control[:])
	if errno == 0 {
		c.flags &^= flagOwed
		errno = l.renewKernel(c, &c.out, sys.SetSendKey, fd)
	}
	if errno != 0 && errno != sys.EAGAIN {
		l.deadOut(id, c, errno)
	}
	return errno
}

// flushKernel waits for room in the socket, in which the kernel puts what it has sealed.
func (l *Layer) flushKernel(c *Conn, fd int32) sys.Errno {
	if c.is(flagKernelFull) && !sys.Writable(fd) {
		return sys.EAGAIN
	}
	c.flags &^= flagKernelFull
	return 0
}

// alertKernel has the kernel send an alert, if there is room enough for all before it.
func (l *Layer) alertKernel(fd int32, a alert) sys.Errno {
	if !sys.Writable(fd) {
		return sys.EAGAIN
	}
	l.control[0], l.control[1] = a.level(), byte(a)
	return sys.SendRecord(fd, typeAlert, l.control[:2])
}

// closeKernel sends close_notify and ends the direction.
func (l *Layer) closeKernel(id uint32, c *Conn, fd int32) sys.Errno {
	errno := l.alertKernel(fd, alertCloseNotify)
	switch errno {
	case 0:
		c.endOut(uint64(sys.EPIPE))
	case sys.EAGAIN:
		c.flags |= flagKernelFull
	default:
		l.deadOut(id, c, errno)
	}
	return errno
}
