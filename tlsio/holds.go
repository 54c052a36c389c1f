package tlsio

// Holds reports whether anything was received that nobody has taken: plaintext, or a part
// of a record.
func (l *Layer) Holds(id uint32) bool { return l.conn(id).read != 0 }
