package shard

import (
	"holdfast/limit"
	"holdfast/observe"
	"holdfast/route"
)

// heldLimits are the counts in zones that sessions hold until they end, by slot (limit_conn).
type heldLimits map[uint32][]limit.Ref

// withinLimits counts the request where limit_conn says so; false means that it was refused.
func (sh *Shard) withinLimits(s *Session, r *Request) bool {
	limits := &r.settings().Limits
	if r.limited || len(limits.Conns) == 0 {
		return true
	}
	r.limited = true
	if sh.takeLimits(s, r, limits) {
		return true
	}
	sh.refuse(s, limits.ConnStatus)
	return false
}

// takeLimits counts the session where limit_conn says so. false means that a limit is
// reached; what the session counted before stays counted until it ends.
func (sh *Shard) takeLimits(s *Session, r *Request, limits *route.Limits) (ok bool) {
	for i := range limits.Conns {
		c := &limits.Conns[i]
		key, counted, long := c.AppendKey(sh.out[:0], &r.env)
		sh.out = key[:0]
		if !counted {
			if long {
				sh.logError(s, observe.LevelError, "the value of a limit_conn_zone key is longer than 255 bytes", nil)
			}
			continue
		}
		zone := r.snapshot.Zones[c.Zone]
		ref, ok := zone.Acquire(key, c.Max)
		if ok {
			if sh.limits == nil {
				sh.limits = heldLimits{}
			}
			sh.limits[s.slot] = append(sh.limits[s.slot], ref)
			continue
		}
		if limits.ConnDryRun {
			sh.logError(s, limitLevel(limits), "limiting connections, dry run, by zone", quoted(zone))
			continue
		}
		sh.counters.Limited++
		s.cause(observe.ReasonRefused, observe.SideProxy)
		sh.logError(s, limitLevel(limits), "limiting connections by zone", quoted(zone))
		return false
	}
	return true
}

// quoted is the zone's name as nginx logs it.
func quoted(zone *limit.Zone) []byte { return []byte(`"` + zone.Name() + `"`) }

// limitLevel is limit_conn_log_level.
func limitLevel(limits *route.Limits) observe.Level {
	switch limits.ConnLogLevel {
	case 6:
		return observe.LevelInfo
	case 5:
		return observe.LevelNotice
	case 4:
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
