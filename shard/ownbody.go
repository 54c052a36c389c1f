package shard

import "holdfast/httpparse"

// replacesBody reports whether the upstream never gets the client's body (proxy_set_body,
// proxy_pass_request_body off). An upgrade has none.
func (r *Request) replacesBody() bool {
	return r.proxy != nil && r.upgrade == httpparse.UpgradeNone && r.proxy.ReplacesBody()
}

// replaceBody works out the body that goes in the place of the client's. What nobody has read
// of that by now stays unread.
func (sh *Shard) replaceBody(r *Request) {
	r.ownBody = nil
	if !r.replacesBody() {
		return
	}
	r.ownBody = r.proxy.Body(&r.env)
	if !r.up.ended {
		r.cut, r.keepDown, r.up.ended = true, false, true
		sh.drop(&r.up)
	}
	r.expects = false
}

// ownFraming is how that body is delimited.
func (r *Request) ownFraming() httpparse.Framing {
	if !r.proxy.HasOwnBody() {
		return httpparse.Framing{}
	}
	return httpparse.Framing{Kind: httpparse.BodyLength, Length: int64(len(r.ownBody))}
}
