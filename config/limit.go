package config

import (
	"math"
	"slices"
	"strings"
)

// LimitZone is a limit_conn_zone directive: a table of counts by key.
type LimitZone struct {
	Position
	Name string
	// Key is the text whose value is counted, with variables.
	Key string
	// Size is the memory of the table in bytes.
	Size int64
	// Stream says that the key is a text of the stream context.
	Stream bool
}

// LimitConn is a limit_conn directive.
type LimitConn struct {
	Position
	// Zone is the name of a LimitZone.
	Zone string
	// Max is the number of connections for each key, from 1 to 65,535.
	Max int
}

// LimitSettings are the values of limit_conn and its companions.
type LimitSettings struct {
	// Conns are in file order; a level that has any inherits none.
	Conns []LimitConn
	// ConnStatus answers what is refused (limit_conn_status).
	ConnStatus int
	// ConnLogLevel is the level of the error log's line about it.
	ConnLogLevel LogLevel
	// ConnDryRun counts and logs, and refuses nothing.
	ConnDryRun bool
}

func defaultLimitSettings() LimitSettings {
	return LimitSettings{ConnStatus: 503, ConnLogLevel: LevelError}
}

// zoneSizeMin is nginx's: eight pages.
const zoneSizeMin = 8 * 4096

func readLimitConnZone(l *level, n *node) {
	z := &LimitZone{Position: n.Position, Key: n.args[0], Stream: l.ctx == CtxStream}
	name, size, found := strings.Cut(strings.TrimPrefix(n.args[1], "zone="), ":")
	if !found || name == "" || !strings.HasPrefix(n.args[1], "zone=") {
		l.add(Error, n.Position, "write: limit_conn_zone $binary_remote_addr zone=NAME:10m;", "invalid zone %q", n.args[1])
		return
	}
	var ok bool
	if z.Size, ok = parseSize(size); !ok {
		l.add(Error, n.Position, hintSize, "invalid zone size %q", size)
		return
	}
	if z.Name = name; z.Size < zoneSizeMin {
		l.add(Error, n.Position, "write at least 32k", "zone %q is too small", n.args[1])
		return
	}
	for _, other := range l.cfg.LimitZones {
		if other.Name == z.Name {
			l.add(Error, n.Position, "choose another name; the first is at "+other.Position.String(),
				"duplicate zone %q", z.Name)
			return
		}
	}
	l.text(n.Position, n.name, z.Key)
	l.cfg.LimitZones = append(l.cfg.LimitZones, z)
}

func readLimitConn(l *level, n *node) {
	list := &l.set.Limits.Conns
	if l.first(n) {
		*list = nil
	}
	limit := LimitConn{Position: n.Position, Zone: n.args[0]}
	var ok bool
	if limit.Max, ok = parseInt(n.args[1], 1); !ok || limit.Max > math.MaxUint16 {
		l.add(Error, n.Position, "write a number from 1 to 65535", "invalid number of connections %q", n.args[1])
		return
	}
	if slices.ContainsFunc(*list, func(c LimitConn) bool { return c.Zone == limit.Zone }) {
		l.add(Error, n.Position, "remove one", "\"limit_conn\" of the zone %q is duplicate", limit.Zone)
		return
	}
	*list = append(*list, limit)
	l.limitConns = append(l.limitConns, limitUse{limit, l.scope == &l.stream})
}

func readLimitConnStatus(l *level, n *node) {
	status, ok := parseInt(n.args[0], 400)
	if !ok || status > 599 {
		l.invalid(n, n.args[0], "write a status from 400 to 599")
		return
	}
	l.set.Limits.ConnStatus = status
}

func readLimitConnLogLevel(l *level, n *node) {
	i := slices.Index([]string{"info", "notice", "warn", "error"}, n.args[0])
	if i < 0 {
		l.invalid(n, n.args[0], "write info, notice, warn or error")
		return
	}
	l.set.Limits.ConnLogLevel = LevelInfo - LogLevel(i)
}

// limitUse is a limit_conn and the context it stands in.
type limitUse struct {
	LimitConn
	stream bool
}

// checkLimits reports limits whose zone nobody defines.
func (l *loader) checkLimits() {
	for _, use := range l.limitConns {
		defined := slices.ContainsFunc(l.cfg.LimitZones, func(z *LimitZone) bool {
			return z.Name == use.Zone && z.Stream == use.stream
		})
		if !defined {
			where := "http"
			if use.stream {
				where = "stream"
			}
			l.add(Error, use.Position, "define it in "+where+": limit_conn_zone $binary_remote_addr zone="+use.Zone+":10m;",
				"unknown \"limit_conn\" zone %q", use.Zone)
		}
	}
}
