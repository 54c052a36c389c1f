package engine

import (
	"holdfast/admin"
	"holdfast/config"
	"holdfast/route"
	"holdfast/shard"
)

// sticky compiles the sticky of an upstream; nil where it has none. Its zone of sessions and its
// counts are those of an earlier configuration, if there are such.
func (b *builder) sticky(u *config.Upstream) *shard.Sticky {
	s := u.Sticky
	if s == nil {
		return nil
	}
	spec := route.StickySpec{Lookup: s.Lookup, Create: s.Create}
	if s.Method == config.StickyByCookie {
		spec.Cookie = stickyCookie(&s.Cookie)
	}
	recipe, err := b.compiler.NewSticky(&spec)
	if err != nil {
		b.fail(s.Position, err)
		return nil
	}
	st := &shard.Sticky{Recipe: recipe, Stats: b.stickies.Stats(u.Name), TimeoutMs: ms(s.Timeout), Header: s.Header}
	if s.Method == config.StickyByLearn {
		st.Sessions = b.stickies.Open(s.Zone, u.Name, s.Size)
	}
	return st
}

func stickyCookie(c *config.StickyCookie) *route.StickyCookie {
	r := &route.StickyCookie{
		Name: c.Name, ExpiresSec: route.StickySession, Domain: c.Domain, SameSite: c.SameSite, Path: c.Path,
		HTTPOnly: c.HTTPOnly, Secure: c.Secure,
	}
	switch {
	case c.ExpiresMax:
		r.ExpiresSec = route.StickyMax
	case c.Expires >= 0:
		r.ExpiresSec = ms(c.Expires) / 1000
	}
	return r
}

// stickyInfos are the counts of the upstreams with sticky.
func stickyInfos(sn *shard.Snapshot) (list []admin.StickyInfo) {
	for i := range sn.Balancing {
		st := sn.Balancing[i].Sticky
		if st == nil {
			continue
		}
		info := admin.StickyInfo{
			Upstream: sn.Groups[i].Name, Hits: st.Stats.Hits.Load(), Misses: st.Stats.Misses.Load(), New: st.Stats.New.Load(),
		}
		if st.Sessions != nil {
			info.Zone, info.Sessions = st.Sessions.Name(), st.Sessions.Len()
		}
		list = append(list, info)
	}
	return list
}
