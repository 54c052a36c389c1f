package route

import "strconv"

// Limits are the limit_req and limit_conn of a level. It is immutable.
type Limits struct {
	// Reqs are asked first, all of them before any is charged (limit_req).
	Reqs []LimitReq
	// ReqStatus answers a refused request.
	ReqStatus int
	// ReqLogLevel is the level of the error log's line about it, as nginx counts: 3 for error
	// to 6 for info. A request that has to wait is logged one level lower.
	ReqLogLevel uint8
	// ReqDryRun charges and logs, and neither delays nor refuses anything.
	ReqDryRun bool

	// Conns are to be asked in this order (limit_conn).
	Conns []LimitConn
	// ConnStatus answers a refused request; a session of stream is closed, with status 503.
	ConnStatus int
	// ConnLogLevel is the level of the error log's line about it, counted as ReqLogLevel.
	ConnLogLevel uint8
	// ConnDryRun logs, and refuses nothing.
	ConnDryRun bool

	rate, after, upstream rate
}

// LimitConn is one limit_conn: at most Max connections for each value of the key.
type LimitConn struct {
	LimitKey
	Zone int // the index of the zone among the caller's zones of connections
	Max  uint32
}

// LimitReq is one limit_req. What is above Burst is refused, what is above Delay waits; both
// are in thousandths of a request.
type LimitReq struct {
	LimitKey
	Zone         int // the index of the zone among the caller's zones of rates
	Burst, Delay int64
}

// LimitKey is what values are counted for.
type LimitKey struct{ text *Template }

// NewLimitKey compiles a key. The error is a *CompileError.
func (c *Compiler) NewLimitKey(key string) (LimitKey, error) {
	t, err := c.Compile(key)
	if err != nil {
		return LimitKey{}, err
	}
	return LimitKey{&t}, nil
}

// AppendKey appends the key to dst; one that is empty is not counted.
func (k *LimitKey) AppendKey(dst []byte, e *Env) []byte { return k.text.Append(dst, e) }

// SetRates compiles the arguments of limit_rate, limit_rate_after and proxy_limit_rate; they
// are empty for those that are not written. The error is a *CompileError.
func (l *Limits) SetRates(c *Compiler, download, after, upstream string) (err error) {
	for _, r := range []struct {
		to   *rate
		text string
	}{{&l.rate, download}, {&l.after, after}, {&l.upstream, upstream}} {
		if *r.to, err = c.rate(r.text); err != nil {
			return err
		}
	}
	return nil
}

// Paces reports whether answers may be paced, so that it is worth asking for a Rate.
func (l *Limits) Paces(e *Env) bool { return l.rate.dynamic || l.rate.constant > 0 || e.LimitRate.Set }

// Rate is how many bytes of an answer go to the client in a second, and how many go before
// that; 0 for no limit (limit_rate, limit_rate_after). From then on e.LimitRate has it.
func (l *Limits) Rate(e *Env) (perSecond, after int64) {
	if !e.LimitRate.Set {
		e.LimitRate = RateSetting{BytesPerSec: l.rate.value(e), Set: true}
	}
	if perSecond = e.LimitRate.BytesPerSec; perSecond > 0 {
		after = l.after.value(e)
	}
	return perSecond, after
}

// UpstreamRate is how many bytes of an answer are read from the upstream in a second; 0 for
// no limit (proxy_limit_rate).
func (l *Limits) UpstreamRate(e *Env) int64 { return l.upstream.value(e) }

// RateSetting is a rate that takes the place of limit_rate for one request, if it is Set:
// that of "set $limit_rate" or of an upstream's X-Accel-Limit-Rate. 0 means no limit.
type RateSetting struct {
	BytesPerSec int64
	Set         bool
}

// Assign takes the value of "set $limit_rate" or X-Accel-Limit-Rate: a size. ok is false, and
// nothing has changed, if it is none.
func (s *RateSetting) Assign(value []byte) (ok bool) {
	n, ok := parseSize(value)
	if ok {
		*s = RateSetting{BytesPerSec: n, Set: true}
	}
	return ok
}

// LimitStatus is what became of a request at the limits of one kind.
type LimitStatus uint8

// The values of LimitStatus.
const (
	LimitUnasked LimitStatus = iota // there was no limit
	LimitPassed
	LimitDelayed
	LimitRejected
	LimitDelayedDryRun
	LimitRejectedDryRun
)

// String is the value of $limit_req_status and $limit_conn_status.
func (s LimitStatus) String() string {
	names := [...]string{"", "PASSED", "DELAYED", "REJECTED", "DELAYED_DRY_RUN", "REJECTED_DRY_RUN"}
	if int(s) < len(names) {
		return names[s]
	}
	return "invalid"
}

func varLimitReqStatus(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return append(dst, e.LimitReqStatus.String()...), e.LimitReqStatus != LimitUnasked
}

func varLimitConnStatus(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return append(dst, e.LimitConnStatus.String()...), e.LimitConnStatus != LimitUnasked
}

// varLimitRate is the rate of the answer: as in nginx 0 until that has begun, unless it was set.
func varLimitRate(dst []byte, e *Env, _ *varArg) ([]byte, bool) {
	return strconv.AppendInt(dst, e.LimitRate.BytesPerSec, 10), true
}
