package tlsio

// Holds reports whether anything was received that nobody has taken: plaintext, a part of a
// record, or the end of the stream.
func (l *Layer) Holds(id uint32) bool {
	c := l.conn(id)
	return c.read != 0 || c.is(flagInDone)
}

// Unsent is how many bytes of records wait for the socket.
func (l *Layer) Unsent(id uint32) int {
	if c := l.conn(id); c.unsent != 0 {
		return l.bufs.At(c.unsent).Len()
	}
	return 0
}
