package shard

import (
	"holdfast/route"
	"holdfast/upstream"
)

// Balancing is what a group's choice of a peer depends on beside the group.
type Balancing struct {
	// Key is that of hash, rendered for a group that wants it.
	Key route.Template
	// Sticky says which peer a request belongs to; nil for a group without.
	Sticky *Sticky
}

// choose picks a peer for the request's next try, or returns nil if none is left. It is lent
// (upstream.Group.Pick).
func (sh *Shard) choose(r *Request) *upstream.Peer {
	if r.choice.Fresh() {
		sh.fillChoice(r)
	}
	if b := r.snapshot.balancing(r.group); b != nil && b.Sticky != nil {
		return sh.chooseSticky(r, b.Sticky)
	}
	r.sticky = stickyState{}
	r.env.StickTo(nil, "")
	return r.group.Pick(&r.choice, sh.nowMs)
}

// fillChoice fills in what the group's method chooses by.
func (sh *Shard) fillChoice(r *Request) {
	switch r.group.Wants() {
	case upstream.WantsAddress:
		// $remote_addr, which may be what the client's proxy says (realip).
		r.choice.Key = upstream.AddressKey(r.env.Remote.Addr())
	case upstream.WantsKey:
		if b := r.snapshot.balancing(r.group); b != nil {
			key := b.Key.Append(sh.out[:0], &r.env)
			r.choice.Key = upstream.HashKey(key)
			sh.out = key[:0]
		}
	}
}

// balancing is what the configuration says about a group's choices; nil for a group that is
// not in it.
func (sn *Snapshot) balancing(g *upstream.Group) *Balancing {
	if n := g.Number; n >= 0 && n < len(sn.Balancing) && sn.Groups[n] == g {
		return &sn.Balancing[n]
	}
	return nil
}
