package config

import (
	"math"
	"slices"
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

// LimitSettings are the values of limit_req, limit_conn, limit_rate and their companions.
type LimitSettings struct {
	// Reqs are in file order; a level that has any inherits none.
	Reqs []LimitReq
	// ReqStatus answers what is refused (limit_req_status).
	ReqStatus int
	// ReqLogLevel is the level of the error log's line about it.
	ReqLogLevel LogLevel
	// ReqDryRun logs, and neither delays nor refuses anything.
	ReqDryRun bool

	// Conns are in file order; a level that has any inherits none.
	Conns []LimitConn
	// ConnStatus answers what is refused (limit_conn_status).
	ConnStatus int
	// ConnLogLevel is the level of the error log's line about it.
	ConnLogLevel LogLevel
	// ConnDryRun logs, and refuses nothing.
	ConnDryRun bool

	// Rate and RateAfter are bytes a second towards the client, and bytes before that holds;
	// ProxyRate is bytes a second from the upstream; with variables. Empty or 0 for no limit.
	Rate, RateAfter, ProxyRate Text
}

func defaultLimitSettings() LimitSettings {
	const status = 503
	return LimitSettings{ConnStatus: status, ConnLogLevel: LevelError, ReqStatus: status, ReqLogLevel: LevelError}
}

// zoneSizeMin is nginx's: eight pages.
const zoneSizeMin = 8 * 4096

func readLimitConnZone(l *level, n *node) {
	z := &LimitZone{Position: n.Position, Key: n.args[0], Stream: l.ctx == CtxStream}
	const hint = "write: limit_conn_zone $binary_remote_addr zone=NAME:10m;"
	var ok bool
	if z.Name, z.Size, ok = l.zone(n, n.args[1], hint); !ok || !l.newZone(n, z.Name) {
		return
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

// limitUse is a limit_conn and the context it stands in.
type limitUse struct {
	LimitConn
	stream bool
}

// limitConnZones are the names of the zones of limit_conn in one context.
func (l *loader) limitConnZones(stream bool) (names []string) {
	for _, z := range l.cfg.LimitZones {
		if z.Stream == stream {
			names = append(names, z.Name)
		}
	}
	return names
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
			hint := "define it in " + where + ": limit_conn_zone $binary_remote_addr zone=" + use.Zone + ":10m;"
			l.add(Error, use.Position, suggest(use.Zone, l.limitConnZones(use.stream), hint),
				"unknown \"limit_conn\" zone %q", use.Zone)
		}
	}
	for _, use := range l.limitReqs {
		if !slices.ContainsFunc(l.cfg.LimitReqZones, func(z *LimitReqZone) bool { return z.Name == use.Zone }) {
			hint := "define it in http: limit_req_zone $binary_remote_addr zone=" + use.Zone + ":10m rate=10r/s;"
			var names []string
			for _, z := range l.cfg.LimitReqZones {
				names = append(names, z.Name)
			}
			l.add(Error, use.Position, suggest(use.Zone, names, hint),
				"unknown \"limit_req\" zone %q", use.Zone)
		}
	}
}
