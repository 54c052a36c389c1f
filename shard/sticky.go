package shard

import (
	"holdfast/route"
	"holdfast/upstream"
)

// Sticky is how a group knows which requests belong to which of its servers.
type Sticky struct {
	Recipe *route.Sticky
	Stats  *upstream.StickyStats
	// Sessions are those of sticky learn; nil for its other forms. What nobody has used for
	// TimeoutMs is forgotten. Header has a response's end change nothing.
	Sessions  *upstream.Sessions
	TimeoutMs int64
	Header    bool
}

// stickyState is what a request knows of the sticky of its group.
type stickyState struct {
	of  *Sticky // nil: the group has none
	sid string  // what that calls the peer
	// key is the session that the response is part of, once learned says so; created says that the
	// response has begun it.
	key              upstream.SessionKey
	learned, created bool
}

// chooseSticky picks the peer that the request belongs to, or another one if it belongs nowhere
// or can't have that. The response will tell the client where it belongs now.
func (sh *Shard) chooseSticky(r *Request, st *Sticky) *upstream.Peer {
	first := r.choice.Fresh()
	brought := st.Recipe.AppendBound(sh.out[:0], &r.env)
	sid := brought
	if st.Sessions != nil && len(brought) > 0 {
		sid = sh.sidOfSession(st, brought)
	}
	r.group.Bind(&r.choice, sid, sh.nowMs)
	bound := r.choice.Prefer
	sh.out = brought[:0]
	p := r.group.Pick(&r.choice, sh.nowMs)
	if first {
		st.count(len(brought) > 0, p != nil && p.ID == bound)
	}
	r.sticky = stickyState{of: st}
	if p != nil {
		r.sticky.sid = r.group.SID(p)
	}
	r.env.StickTo(st.Recipe, r.sticky.sid)
	return p
}

// count counts where a request went that had brought something, or nothing.
func (st *Sticky) count(brought, hit bool) {
	switch {
	case !brought:
		st.Stats.New.Add(1)
	case hit:
		st.Stats.Hits.Add(1)
	default:
		st.Stats.Misses.Add(1)
	}
}

// sidOfSession is what sticky calls the server of a session, in memory of the shard's own. id
// may be overwritten.
func (sh *Shard) sidOfSession(st *Sticky, id []byte) []byte {
	if len(id) > upstream.SessionIDMax {
		return nil
	}
	return st.Sessions.AppendSID(id[:0], upstream.NewSessionKey(id), st.TimeoutMs, sh.nowMs)
}

// learn notes which session the response that has begun belongs to, and that the peer has it
// (sticky learn).
func (sh *Shard) learn(r *Request) {
	st := r.sticky.of
	if st == nil || st.Sessions == nil {
		return
	}
	id := st.Recipe.AppendCreated(sh.out[:0], &r.env)
	r.sticky.created = len(id) > 0
	if !r.sticky.created {
		id = st.Recipe.AppendBound(id, &r.env)
	}
	if len(id) > 0 && len(id) <= upstream.SessionIDMax {
		r.sticky.learned, r.sticky.key = true, upstream.NewSessionKey(id)
		st.use(&r.sticky, sh.nowMs)
	}
	sh.out = id[:0]
}

// learnEnd notes that the response has come to its end: the session's time begins anew.
func (sh *Shard) learnEnd(r *Request) {
	if st := r.sticky.of; st != nil && r.sticky.learned && !st.Header {
		st.use(&r.sticky, sh.nowMs)
	}
}

// use tells the zone of a session's use.
func (st *Sticky) use(s *stickyState, nowMs int64) {
	st.Sessions.Learn(s.key, s.sid, s.created, st.TimeoutMs, nowMs)
}
