package upstream

import (
	"crypto/md5"
	"encoding/hex"
	"sync/atomic"
)

// SIDMax is the longest name that sticky has for a server, in bytes: that of an MD5 sum in
// hexadecimal digits.
const SIDMax = 32

// stickies finds the members of servers by what sticky calls them. It is immutable but for the
// turns of namesakes.
type stickies struct {
	bySID map[string]*namesakes
	sids  map[*Peer]string
}

// namesakes are the members that sticky calls the same: the addresses of one server with route=.
type namesakes struct {
	turn      atomic.Uint32
	places    []place // those of primaries stand first
	primaries int
}

// place is a member of servers.
type place struct {
	at     int
	backup bool
}

// newStickies names the members of v: by route=, else by the MD5 sum of their address. So the
// name is the same on every instance, and after a restart (nginx's sticky cookie).
func newStickies(v *servers) *stickies {
	st := &stickies{bySID: map[string]*namesakes{}, sids: map[*Peer]string{}}
	for _, backup := range [...]bool{false, true} {
		s := v.set(backup)
		for i := range s.members {
			m := &s.members[i]
			sid := m.route
			if sid == "" {
				sum := md5.Sum([]byte(m.peer.Name))
				sid = hex.EncodeToString(sum[:])
			}
			if st.bySID[sid] == nil {
				st.bySID[sid] = &namesakes{}
			}
			same := st.bySID[sid]
			same.places = append(same.places, place{i, backup})
			if !backup {
				same.primaries++
			}
			st.sids[m.peer] = sid
		}
	}
	return st
}

// set is the primary or the backup servers.
func (v *servers) set(backup bool) *set {
	if backup {
		return &v.backup
	}
	return &v.primary
}

// Bind has the next Pick for c prefer a server that sticky calls sid, and that was not tried yet
// and may be had; of several, each in turn, backups last. Without one, as for a sid that nobody has, the choice
// is free. Only groups with GroupSpec.Sticky bind. sid may be any bytes.
func (g *Group) Bind(c *Choice, sid []byte, nowMs int64) {
	c.Prefer = c.preferred // no wish, or one that was granted before
	v := g.servers.Load()
	if v == nil || v.stickies == nil || len(sid) > SIDMax {
		return
	}
	same := v.stickies.bySID[string(sid)]
	if same == nil {
		return
	}
	if c.preferred != 0 && v.backup.index(c.preferred) >= 0 {
		return // a backup was had: there was nobody else of that name
	}
	first := 0
	if same.primaries > 1 {
		first = int(same.turn.Add(1) % uint32(same.primaries))
	}
	for i := range same.places {
		at := i
		if i < same.primaries {
			at = (first + i) % same.primaries
		}
		if p := &same.places[at]; v.binds(p, c, nowMs) {
			c.Prefer = v.set(p.backup).members[p.at].peer.ID
			return
		}
	}
}

// binds reports whether a choice may be bound to the member at p now.
func (v *servers) binds(p *place, c *Choice, nowMs int64) bool {
	s := v.set(p.backup)
	m := &s.members[p.at]
	switch {
	case m.down, m.full(), !m.healthy(), !s.single && !m.available(nowMs):
		return false
	case m.peer.ID == c.preferred:
		return false
	case c.generation != v.generation:
		return true // nothing was tried
	case p.backup == c.backup:
		return !c.has(p.at)
	}
	return p.backup // the primaries are used up
}

// SID is what sticky calls p; empty if it is none of the group's servers any more, or the group
// has no GroupSpec.Sticky.
func (g *Group) SID(p *Peer) string {
	if v := g.servers.Load(); v != nil && v.stickies != nil {
		return v.stickies.sids[p]
	}
	return ""
}
