package engine

import (
	"fmt"
	"slices"

	"holdfast/admin"
	"holdfast/config"
	"holdfast/limit"
	"holdfast/route"
	"holdfast/shard"
)

// zones opens the tables of limit_conn_zone and limit_req_zone: those of an earlier
// configuration where they are the same.
func (b *builder) zones(open *limit.Zones) {
	for _, z := range b.cfg.LimitZones {
		zone, err := open.Open(z.Name, z.Key, z.Size)
		if err != nil {
			b.fail(z.Position, err)
		}
		b.sn.Zones = append(b.sn.Zones, zone)
	}
	for _, z := range b.cfg.LimitReqZones {
		b.sn.RateZones = append(b.sn.RateZones, shard.RateZone{Zone: open.OpenRate(z.Name, z.Key, z.Size), Rate: z.Rate})
	}
}

// limits compiles the limits of a level with the compiler of its context.
func (b *builder) limits(c *route.Compiler, set *config.LimitSettings, stream bool) (r route.Limits) {
	if len(set.Conns) > 0 {
		r.ConnStatus, r.ConnLogLevel, r.ConnDryRun = set.ConnStatus, uint8(set.ConnLogLevel), set.ConnDryRun
	}
	for _, conn := range set.Conns {
		zone := slices.IndexFunc(b.cfg.LimitZones, func(z *config.LimitZone) bool {
			return z.Name == conn.Zone && z.Stream == stream
		})
		if zone < 0 {
			b.fail(conn.Position, fmt.Errorf("unknown \"limit_conn\" zone %q", conn.Zone))
			continue
		}
		key := b.limitKey(c, b.cfg.LimitZones[zone].Key, b.cfg.LimitZones[zone].Position)
		r.Conns = append(r.Conns, route.LimitConn{LimitKey: key, Zone: zone, Max: uint32(conn.Max)})
	}
	if stream {
		return r
	}
	b.limitReqs(&r, set)
	if err := r.SetRates(c, set.Rate.Text, set.RateAfter.Text, set.ProxyRate.Text); err != nil {
		b.fail(set.Rate.Position, err)
	}
	return r
}

// limitReqs compiles the limit_req of a level.
func (b *builder) limitReqs(r *route.Limits, set *config.LimitSettings) {
	if len(set.Reqs) > 0 {
		r.ReqStatus, r.ReqLogLevel, r.ReqDryRun = set.ReqStatus, uint8(set.ReqLogLevel), set.ReqDryRun
	}
	for i := range set.Reqs {
		req := &set.Reqs[i]
		zone := slices.IndexFunc(b.cfg.LimitReqZones, func(z *config.LimitReqZone) bool { return z.Name == req.Zone })
		if zone < 0 {
			b.fail(req.Position, fmt.Errorf("unknown \"limit_req\" zone %q", req.Zone))
			continue
		}
		key := b.limitKey(b.compiler, b.cfg.LimitReqZones[zone].Key, b.cfg.LimitReqZones[zone].Position)
		r.Reqs = append(r.Reqs, route.LimitReq{
			LimitKey: key, Zone: zone, Burst: req.BurstThousandths(), Delay: req.DelayThousandths(),
		})
	}
}

// limitKey compiles the key of a zone that is defined at a place.
func (b *builder) limitKey(c *route.Compiler, text string, at config.Position) route.LimitKey {
	key, err := c.NewLimitKey(text)
	if err != nil {
		b.fail(at, err)
	}
	return key
}

// limitInfos are the zones of the present configuration.
func (e *engine) limitInfos() (list []admin.LimitInfo) {
	sn := e.built().Snapshot
	for i := range sn.RateZones {
		z := sn.RateZones[i].Zone
		list = append(list, limitInfo("limit_req", z.Name(), z.Len(), &z.Stats))
	}
	for _, z := range sn.Zones {
		list = append(list, limitInfo("limit_conn", z.Name(), z.Len(), &z.Stats))
	}
	return list
}

func limitInfo(directive, zone string, keys int, s *limit.Stats) admin.LimitInfo {
	return admin.LimitInfo{
		Directive: directive, Zone: zone, Keys: keys, Passed: s.Passed.Load(), Delayed: s.Delayed.Load(),
		Rejected: s.Rejected.Load(), DelayedDryRun: s.DelayedDryRun.Load(), RejectedDryRun: s.RejectedDryRun.Load(),
	}
}
