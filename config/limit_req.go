package config

import (
	"math"
	"slices"
	"strings"
)

// LimitReqZone is a limit_req_zone directive: a table of rates by key.
type LimitReqZone struct {
	Position
	Name string
	// Key is the text for whose values requests are counted, with variables.
	Key string
	// Size is the memory of the table in bytes.
	Size int64
	// Rate is in thousandths of a request a second.
	Rate int64
}

// LimitReq is a limit_req directive.
type LimitReq struct {
	Position
	// Zone is the name of a LimitReqZone.
	Zone string
	// Burst is how many requests above the rate are not refused.
	Burst int
	// Delay is how many of those don't have to wait; -1 for all (nodelay).
	Delay int
}

const hintReqZone = "write: limit_req_zone $binary_remote_addr zone=NAME:10m rate=10r/s;"

func readLimitReqZone(l *level, n *node) {
	z := &LimitReqZone{Position: n.Position, Key: n.args[0], Rate: 1000}
	for _, arg := range n.args[1:] {
		name, value, _ := strings.Cut(arg, "=")
		ok := true
		switch {
		case name == "zone":
			z.Name, z.Size, ok = l.zone(n, arg, hintReqZone)
		case name == "rate":
			if z.Rate, ok = parseRate(value); !ok {
				l.add(Error, n.Position, "write a rate such as 10r/s or 30r/m, above 0", "invalid rate %q", arg)
			}
		case arg == "sync":
		default:
			ok = false
			l.add(Error, n.Position, hintReqZone, "invalid parameter %q", arg)
		}
		if !ok {
			return
		}
	}
	if z.Name == "" {
		l.add(Error, n.Position, hintReqZone, "%q must have \"zone\" parameter", n.name)
		return
	}
	if !l.newZone(n, z.Name) {
		return
	}
	l.text(n.Position, n.name, z.Key)
	l.cfg.LimitReqZones = append(l.cfg.LimitReqZones, z)
}

// rateMax is the largest rate, in requests: what is faster is no limit.
const rateMax = 1 << 31

// parseRate reads a rate of requests and returns it in thousandths of a request a second,
// cut off as in nginx.
func parseRate(s string) (thousandths int64, ok bool) {
	const perSecond, perMinute = 1, 60
	scale := int64(perSecond)
	switch {
	case strings.HasSuffix(s, "r/s"):
		s = s[:len(s)-len("r/s")]
	case strings.HasSuffix(s, "r/m"):
		s, scale = s[:len(s)-len("r/m")], perMinute
	}
	n, ok := parseNumber(s)
	return n * 1000 / scale, ok && n > 0 && n <= rateMax
}

// zone reads zone=name:size; what is wrong with it was reported if ok is false.
func (l *level) zone(n *node, arg, hint string) (name string, size int64, ok bool) {
	name, text, found := strings.Cut(strings.TrimPrefix(arg, "zone="), ":")
	switch {
	case !found || !strings.HasPrefix(arg, "zone="):
		l.add(Error, n.Position, hint, "invalid zone %q", arg)
		return "", 0, false
	case name == "":
		l.add(Error, n.Position, hint, "invalid zone name %q", arg)
		return "", 0, false
	}
	if size, ok = parseSize(text); !ok {
		l.add(Error, n.Position, hintSize, "invalid zone size %q", arg)
		return "", 0, false
	}
	if size < zoneSizeMin {
		l.add(Error, n.Position, "write at least 32k", "zone %q is too small", arg)
		return "", 0, false
	}
	return name, size, true
}

// newZone reports whether no other zone has that name, and says so if one has.
func (l *level) newZone(n *node, name string) bool {
	at := Position{}
	for _, z := range l.cfg.LimitZones {
		if z.Name == name {
			at = z.Position
		}
	}
	for _, z := range l.cfg.LimitReqZones {
		if z.Name == name {
			at = z.Position
		}
	}
	for _, u := range l.http.blocks {
		if u.Sticky != nil && u.Sticky.Zone == name {
			at = u.Sticky.Position
		}
	}
	if at == (Position{}) {
		return true
	}
	l.add(Error, n.Position, "choose another name; the first is at "+at.String(), "duplicate zone %q", name)
	return false
}

func readLimitReq(l *level, n *node) {
	list := &l.set.Limits.Reqs
	if l.first(n) {
		*list = nil
	}
	const hint = "write: limit_req zone=NAME [burst=NUMBER] [nodelay | delay=NUMBER];"
	limit := LimitReq{Position: n.Position}
	for _, arg := range n.args {
		name, value, _ := strings.Cut(arg, "=")
		ok := true
		switch {
		case name == "zone" && value != "":
			limit.Zone = value
		case name == "burst":
			limit.Burst, ok = parseInt(value, 1)
		case name == "delay":
			limit.Delay, ok = parseInt(value, 1)
		case arg == "nodelay":
			limit.Delay = -1
		default:
			l.add(Error, n.Position, hint, "invalid parameter %q", arg)
			return
		}
		if !ok {
			l.add(Error, n.Position, "write a number above 0", "invalid %s value %q", name, arg)
			return
		}
	}
	if limit.Zone == "" {
		l.add(Error, n.Position, hint, "%q must have \"zone\" parameter", n.name)
		return
	}
	if slices.ContainsFunc(*list, func(r LimitReq) bool { return r.Zone == limit.Zone }) {
		l.add(Error, n.Position, "remove one", "%q of the zone %q is duplicate", n.name, limit.Zone)
		return
	}
	*list = append(*list, limit)
	l.limitReqs = append(l.limitReqs, limit)
}

// BurstThousandths is Burst in thousandths of a request.
func (r *LimitReq) BurstThousandths() int64 { return int64(r.Burst) * 1000 }

// DelayThousandths is Delay in thousandths of a request; without limit for nodelay.
func (r *LimitReq) DelayThousandths() int64 {
	if r.Delay < 0 {
		return math.MaxInt64
	}
	return int64(r.Delay) * 1000
}

// limitStatus reads the status for what a limit refuses.
func limitStatus(field func(*LimitSettings) *int) func(*level, *node) {
	return func(l *level, n *node) {
		status, ok := parseInt(n.args[0], 400)
		if !ok || status > 599 {
			l.invalid(n, n.args[0], "write a status from 400 to 599")
			return
		}
		*field(&l.set.Limits) = status
	}
}

// limitLogLevel reads the level of the line about what a limit refuses.
func limitLogLevel(field func(*LimitSettings) *LogLevel) func(*level, *node) {
	return func(l *level, n *node) {
		i := slices.Index([]string{"info", "notice", "warn", "error"}, n.args[0])
		if i < 0 {
			l.invalid(n, n.args[0], "write info, notice, warn or error")
			return
		}
		*field(&l.set.Limits) = LevelInfo - LogLevel(i)
	}
}
