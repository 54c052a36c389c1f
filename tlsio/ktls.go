package tlsio

import (
	"encoding/binary"

	"holdfast/internal/sys"
)

// Kernel TLS: the kernel opens and seals the records of a connection, with the keys that
// the record layer would have used (ToKernel). Either direction can be there without the
// other, so that one whose key the kernel does not take goes on here. What remains to be
// done here is all but data: alerts, KeyUpdates, the end of the stream.

// Kernel is what the running kernel can do (ProbeKernel).
type Kernel struct {
	Use   bool // it opens and seals records
	Rekey bool // it replaces keys, as KeyUpdate needs (Linux 6.14)
}

// Versions and ciphers in linux/tls.h.
const (
	kernelAES128 = 51
	kernelAES256 = 52
	kernelChaCha = 54
)

// kernelKeyMax is the size of the largest tls12_crypto_info_* that is used, in bytes.
const kernelKeyMax = 4 + 8 + 32 + 4 + 8

// UseKernel says whether ToKernel has anything to give to the kernel.
func (l *Layer) UseKernel(k Kernel) { l.kernel = k }

// ToKernel gives a connection to the kernel as far as UseKernel says and the kernel takes
// it; the rest stays. It must come before anything is read or written, and after OnTickets:
// reading goes to the kernel when there are no more tickets.
func (l *Layer) ToKernel(id uint32, fd int32) {
	if !l.kernel.Use || sys.AttachTLS(fd) != 0 {
		return
	}
	c := l.conn(id)
	key := l.kernelKey(c, &c.out)
	if sys.SetSendKey(fd, key) == 0 {
		c.flags |= flagKernelOut
		l.keepSecret(c, &c.out)
	}
	clear(key)
	c.flags |= flagKernelNext
	l.readInKernel(c, fd)
}

// readInKernel gives the incoming direction to the kernel if nothing stands in the way: a
// record that came in part, or tickets that somebody wants to see sealed.
func (l *Layer) readInKernel(c *Conn, fd int32) {
	if c.is(flagTickets|flagInDone) || c.read != 0 {
		return
	}
	c.flags &^= flagKernelNext
	key := l.kernelKey(c, &c.in)
	if sys.SetReceiveKey(fd, key) == 0 {
		c.flags |= flagKernelIn
		l.keepSecret(c, &c.in)
	}
	clear(key)
}

// keepSecret keeps of a direction that the kernel has what its next key is made of.
func (l *Layer) keepSecret(c *Conn, d *Direction) {
	if c.is(flagTLS12) || !l.kernel.Rekey {
		d.Secret = [48]byte{}
	}
}

// kernelKey is a direction's key as the kernel wants it (linux/tls.h): version, cipher, the
// record's part of the nonce, key, the fixed part, the next sequence number. It is valid
// until the next call.
func (l *Layer) kernelKey(c *Conn, d *Direction) []byte {
	kind, _ := kindOf(c.version(), c.suite)
	var key [32]byte
	var iv [12]byte
	if c.is(flagTLS12) {
		copy(key[:], d.Secret[:kind.keyLen])
		copy(iv[:], d.Secret[kind.keyLen:kind.keyLen+kind.ivLen])
	} else {
		expandLabel(key[:kind.keyLen], kind.sha384, &d.Secret, "key")
		expandLabel(iv[:], kind.sha384, &d.Secret, "iv")
	}
	cipher, fixed := uint16(kernelAES128), 4
	switch {
	case kind.chacha:
		cipher, fixed = kernelChaCha, 0
	case kind.keyLen == 32:
		cipher = kernelAES256
	}
	if kind.ivLen == 4 { // the explicit nonces of TLS 1.2 are sequence numbers, as ours
		binary.BigEndian.PutUint64(iv[4:], d.Seq)
	}
	b := binary.NativeEndian.AppendUint16(l.kernelInfo[:0], uint16(c.version()))
	b = binary.NativeEndian.AppendUint16(b, cipher)
	b = append(b, iv[fixed:]...)
	b = append(b, key[:kind.keyLen]...)
	b = append(b, iv[:fixed]...)
	b = binary.BigEndian.AppendUint64(b, d.Seq)
	clear(key[:])
	clear(iv[:])
	return b
}

// renewKernel replaces a key in the kernel by the next one (RFC 8446 section 7.2).
func (l *Layer) renewKernel(c *Conn, d *Direction, set func(fd int32, key []byte) sys.Errno, fd int32) sys.Errno {
	if !l.kernel.Rekey {
		return sys.EBUSY
	}
	kind, _ := kindOf(c.version(), c.suite)
	nextSecret(&d.Secret, kind.sha384)
	d.Seq = 0
	key := l.kernelKey(c, d)
	errno := set(fd, key)
	clear(key)
	return errno
}
