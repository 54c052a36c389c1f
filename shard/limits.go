package shard

import (
	"strconv"

	"holdfast/limit"
	"holdfast/observe"
	"holdfast/route"
)

// heldLimits are the counts in zones that sessions hold until they end, by slot (limit_conn).
type heldLimits map[uint32][]limit.Ref

// withinLimits lets limit_req and then limit_conn judge the request, each once however often
// it is sent elsewhere inside. false means that it was refused, or that it waits in Delay.
func (sh *Shard) withinLimits(s *Session, r *Request) bool {
	limits := &r.settings().Limits
	if len(limits.Reqs) > 0 && r.env.LimitReqStatus == route.LimitUnasked && !sh.withinRate(s, r, limits) {
		return false
	}
	if len(limits.Conns) == 0 || r.env.LimitConnStatus != route.LimitUnasked || sh.takeLimits(s, r, limits) {
		return true
	}
	sh.refuse(s, limits.ConnStatus)
	return false
}

// withinRate lets limit_req judge the request.
func (sh *Shard) withinRate(s *Session, r *Request, limits *route.Limits) bool {
	t := &sh.trial
	t.Begin()
	for i := range limits.Reqs {
		v := sh.judgeRate(s, r, &limits.Reqs[i], i == len(limits.Reqs)-1)
		if v == limit.Within {
			continue
		}
		t.Abandon()
		sh.logRate(s, limits, v)
		if limits.ReqDryRun {
			t.Zone.Stats.RejectedDryRun.Add(1)
			r.env.LimitReqStatus = route.LimitRejectedDryRun
			return true
		}
		t.Zone.Stats.Rejected.Add(1)
		r.env.LimitReqStatus = route.LimitRejected
		sh.counters.Limited++
		s.cause(observe.ReasonRefused, observe.SideProxy)
		sh.refuse(s, limits.ReqStatus)
		return false
	}
	if t.Charge(sh.nowMs); t.Asked() == 0 {
		return true // nothing but empty keys
	}
	return sh.mayPass(s, r, limits)
}

// judgeRate asks one limit_req. A key that is empty or too long is not limited.
func (sh *Shard) judgeRate(s *Session, r *Request, l *route.LimitReq, last bool) limit.Verdict {
	key := l.AppendKey(sh.out[:0], &r.env)
	sh.out = key[:0]
	z := &r.snapshot.RateZones[l.Zone]
	if len(key) > limit.RateKeyMax {
		sh.logLongKey(s, z.Zone.Key(), "65535", key)
	}
	return sh.trial.Judge(
		limit.RateLimit{Zone: z.Zone, Rate: z.Rate, Burst: l.Burst, Delay: l.Delay}, key, sh.nowMs, last)
}

// mayPass lets a request pass that keeps to its limits, perhaps after a delay.
func (sh *Shard) mayPass(s *Session, r *Request, limits *route.Limits) bool {
	t := &sh.trial
	if t.DelayMs == 0 {
		r.env.LimitReqStatus = route.LimitPassed
		t.Each(func(z *limit.RateZone) { z.Stats.Passed.Add(1) })
		return true
	}
	message := "delaying request, excess:"
	if limits.ReqDryRun {
		message = "delaying request, dry run, excess:"
	}
	sh.logError(s, logLevel(limits.ReqLogLevel+1), message, sh.excess(", by zone "))
	if limits.ReqDryRun {
		t.Zone.Stats.DelayedDryRun.Add(1)
		r.env.LimitReqStatus = route.LimitDelayedDryRun
		return true
	}
	t.Zone.Stats.Delayed.Add(1)
	r.env.LimitReqStatus = route.LimitDelayed
	sh.delay(s, r, t.DelayMs)
	return false
}

// logRate logs a request that a limit_req refuses.
func (sh *Shard) logRate(s *Session, limits *route.Limits, v limit.Verdict) {
	switch {
	case v == limit.NoRoom:
		sh.logError(s, observe.LevelAlert, "could not allocate node in limit_req zone", sh.quoted(sh.trial.Zone.Name()))
	case limits.ReqDryRun:
		sh.logError(s, logLevel(limits.ReqLogLevel), "limiting requests, dry run, excess:", sh.excess(" by zone "))
	default:
		sh.logRefusal(s, logLevel(limits.ReqLogLevel), "limiting requests, excess:", sh.excess(" by zone "))
	}
}

// excess is how far the request that was judged is above the rate, and by which zone, as
// nginx logs it: in requests. It lies in sh.out.
func (sh *Shard) excess(by string) []byte {
	const thousandths = 1000
	n := sh.trial.Excess
	b := strconv.AppendInt(sh.out[:0], n/thousandths, 10)
	b = append(b, '.', byte('0'+n/100%10), byte('0'+n/10%10), byte('0'+n%10))
	b = append(append(append(append(b, by...), '"'), sh.trial.Zone.Name()...), '"')
	sh.out = b[:0]
	return b
}

// takeLimits counts the session where limit_conn says so. false means that a limit is
// reached: then nothing is counted.
func (sh *Shard) takeLimits(s *Session, r *Request, limits *route.Limits) (ok bool) {
	for i := range limits.Conns {
		c := &limits.Conns[i]
		key := c.AppendKey(sh.out[:0], &r.env)
		sh.out = key[:0]
		zone := r.snapshot.Zones[c.Zone]
		if len(key) > limit.KeyMax {
			sh.logLongKey(s, zone.Key(), "255", key)
		}
		if len(key) == 0 || len(key) > limit.KeyMax {
			continue
		}
		r.env.LimitConnStatus = route.LimitPassed
		ref, taken := zone.Acquire(key, c.Max)
		if taken == limit.Counted {
			if sh.limits == nil {
				sh.limits = heldLimits{}
			}
			sh.limits[s.slot] = append(sh.limits[s.slot], ref)
			zone.Stats.Passed.Add(1)
			continue
		}
		sh.releaseLimits(s)
		return sh.limited(s, r, limits, zone, taken)
	}
	return true
}

// limited logs and counts a session that limit_conn refuses. ok says that it may go on
// nevertheless (limit_conn_dry_run).
func (sh *Shard) limited(s *Session, r *Request, limits *route.Limits, z *limit.Zone, taken limit.Taken) (ok bool) {
	level, message := logLevel(limits.ConnLogLevel), "limiting connections by zone"
	switch {
	case taken == limit.Full:
		level, message = observe.LevelCrit, "no memory in limit_conn_zone"
	case limits.ConnDryRun:
		message = "limiting connections, dry run, by zone"
	}
	sh.logEntry(s, observe.Entry{
		Level: level, Message: message, Detail: sh.quoted(z.Name()), Always: taken != limit.Full && !limits.ConnDryRun,
	})
	if limits.ConnDryRun {
		z.Stats.RejectedDryRun.Add(1)
		r.env.LimitConnStatus = route.LimitRejectedDryRun
		return true
	}
	z.Stats.Rejected.Add(1)
	r.env.LimitConnStatus = route.LimitRejected
	sh.counters.Limited++
	s.cause(observe.ReasonRefused, observe.SideProxy)
	return false
}

// keyShown is how much of a key that is too long a log line shows, in bytes.
const keyShown = 255

// logLongKey logs that a key is not counted because it is longer than most bytes.
func (sh *Shard) logLongKey(s *Session, name, most string, key []byte) {
	var room [4 * keyShown]byte
	b := append(append(append(room[:0], '"'), name[:min(len(name), keyShown)]...), `" key is more than `...)
	b = append(append(append(append(b, most...), ` bytes: "`...), key[:keyShown]...), '"')
	sh.logError(s, observe.LevelError, "the value of the", b)
}

// quoted is a zone's name as nginx logs it. It lies in sh.out.
func (sh *Shard) quoted(name string) []byte {
	b := append(append(append(sh.out[:0], '"'), name...), '"')
	sh.out = b[:0]
	return b
}

// logLevel is a level of the error log that is counted as in nginx.
func logLevel(level uint8) observe.Level {
	switch {
	case level >= 6:
		return observe.LevelInfo
	case level == 5:
		return observe.LevelNotice
	case level == 4:
		return observe.LevelWarn
	}
	return observe.LevelError
}

// releaseLimits gives back what the session counted.
func (sh *Shard) releaseLimits(s *Session) {
	refs := sh.limits[s.slot]
	if refs == nil {
		return
	}
	delete(sh.limits, s.slot)
	for _, ref := range refs {
		sh.opt.Zones.Release(ref)
	}
}
