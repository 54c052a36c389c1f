package route

// Limits are the limit_conn of a level. It is immutable.
type Limits struct {
	// Conns are to be asked in this order.
	Conns []LimitConn
	// ConnStatus answers a refused request; a session of stream is closed, with status 503.
	ConnStatus int
	// ConnLogLevel is the level of the error log's line about it, as nginx counts:
	// 3 for error to 6 for info.
	ConnLogLevel uint8
	// ConnDryRun counts and logs, and refuses nothing.
	ConnDryRun bool
}

// LimitConn is one limit_conn: at most Max connections for each value of the key.
type LimitConn struct {
	Zone int // the index of the zone among those of the snapshot
	Max  uint32
	key  *Template
}

// limitKeyMax is how long a key may be; nginx leaves longer ones out too.
const limitKeyMax = 255

// NewLimitConn compiles a limit_conn of the zone with that index and key. The error is a
// *CompileError.
func (c *Compiler) NewLimitConn(zone int, limit uint32, key string) (LimitConn, error) {
	t, err := c.Compile(key)
	if err != nil {
		return LimitConn{}, err
	}
	return LimitConn{Zone: zone, Max: limit, key: &t}, nil
}

// AppendKey appends the key to dst. ok is false if the connection is not counted, because
// the key is empty or longer than 255 bytes; long tells the two apart.
func (l *LimitConn) AppendKey(dst []byte, e *Env) (out []byte, ok, long bool) {
	at := len(dst)
	dst = l.key.Append(dst, e)
	n := len(dst) - at
	return dst, n > 0 && n <= limitKeyMax, n > limitKeyMax
}
