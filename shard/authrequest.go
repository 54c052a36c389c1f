package shard

import (
	"strconv"

	"holdfast/httpparse"
	"holdfast/internal/sys"
	"holdfast/observe"
	"holdfast/relay"
	"holdfast/route"
)

// subrequest is what the client's request was before the proxy asked one of its own
// (auth_request). That one goes through the phases and over the session's upstream leg like
// any other; only what would be its answer comes to subAnswered.
type subrequest struct {
	auth     *route.AuthRequest
	mark     route.EnvMark
	up       flow
	hops     int
	upgrade  httpparse.UpgradeKind
	internal bool
	asGet    bool
	expects  bool
	keepDown bool
	sentHead bool
	upFailed bool
	check    uint8
	denied   int
}

// checkSubrequest has the location's upstream judge the request (auth_request).
func (sh *Shard) checkSubrequest(s *Session, r *Request) (verdict, int) {
	auth := r.settings().AuthRequest
	if auth == nil {
		return noOpinion, 0
	}
	if s.state != Access {
		sh.setState(s, Access)
	}
	r.order, r.wait = 0, waitNone
	r.outer = subrequest{
		auth: auth, mark: r.env.Mark(), up: r.up, hops: r.hops, upgrade: r.upgrade, internal: r.internal,
		asGet: r.asGet, expects: r.expects, keepDown: r.keepDown, sentHead: r.sentHead, upFailed: r.upFailed,
		check: r.check, denied: r.denied,
	}
	r.sub = &r.outer
	// It is a GET without a body, from inside, and knows of no answer yet.
	sh.forgetResponse(&r.env)
	sh.countPeerBytes(r)
	r.up, r.hops, r.sentHead = flow{ended: true}, 0, false
	r.counted = r.env.UpstreamBytesReceived
	r.upgrade, r.asGet, r.expects, r.internal = httpparse.UpgradeNone, true, false, true
	r.env.SetInternal(auth.Target(&r.env))
	sh.startPhases(s, r, phaseServerRewrite)
	return waits, 0
}

// subAnswered goes on with the client's request when the answer to its subrequest is known.
func (sh *Shard) subAnswered(s *Session, r *Request, status int) {
	v := denies
	switch {
	case status >= 200 && status < 300:
		v = admits
	case status == 401:
		r.env.PassChallenge()
	case status != 403:
		v = answers
	}
	r.outer.auth.Apply(&r.env)
	sh.leaveSubrequest(s, r)
	if v == answers {
		var text [8]byte
		sh.logError(s, observe.LevelError, "auth request unexpected status:", strconv.AppendInt(text[:0], int64(status), 10))
		sh.refuse(s, 500)
		return
	}
	sh.accessChecked(s, r, v, status)
}

// leaveSubrequest makes the request the client's again.
func (sh *Shard) leaveSubrequest(s *Session, r *Request) {
	sh.leaveExchange(s, r)
	sh.rewind(r)
	sub := r.sub
	r.sub = nil
	r.env.Return(&sub.mark)
	r.env.ForgetUpstream()
	r.location = r.env.Location
	r.up, r.hops, r.upgrade = sub.up, sub.hops, sub.upgrade
	sub.up = flow{}
	r.internal, r.asGet, r.expects = sub.internal, sub.asGet, sub.expects
	r.keepDown, r.sentHead, r.upFailed = sub.keepDown, sub.sentHead, sub.upFailed
	r.check, r.denied = sub.check, sub.denied
	r.phase = phaseAccess + 1
	r.counted = r.up.sent
	r.proxy, r.peer, r.group, r.tls = nil, nil, nil, nil
	r.gotBytes, r.keepUp = false, false
	sh.unstick(r)
	if s.state != Access {
		sh.setState(s, Access)
	}
	sh.settle(s, r)
}

// endSubrequest takes the upstream's answer to a subrequest. Its body is of no interest; where
// it has come whole with the head, the connection can serve others.
func (sh *Shard) endSubrequest(s *Session, r *Request, framing httpparse.Framing, rest []byte) {
	r.group.OK(r.peer)
	r.group.Took(r.peer, r.env.UpstreamHeaderMs, r.env.UpstreamHeaderMs)
	if r.cameWhole(framing, rest) && s.Up.Bits&relay.RdHup == 0 {
		sh.poolUpstream(s, r)
	}
	sh.subAnswered(s, r, r.resp.Status)
}

// subFile is the status that a file would answer a subrequest with.
func (sh *Shard) subFile(r *Request) (status int) {
	if r.location.Static == nil {
		return 404
	}
	path := r.location.Static.AppendPath(sh.path[:0], &r.env)
	sh.path = path[:0]
	info, errno := sh.stat(path)
	switch {
	case errno == sys.EACCES:
		return 403
	case errno != 0 || info.Kind != sys.FileRegular || climbs(r.env.URI):
		return 404
	}
	return 200
}

// unstick takes back what sticky has noted of the group of a subrequest, which the response to
// the client must not tell.
func (sh *Shard) unstick(r *Request) {
	r.sticky = stickyState{}
	r.env.StickTo(nil, "")
}
