package shard

import "holdfast/route"

// realIP takes the client's address from a believed peer's word (set_real_ip_from): first by
// the settings of the server, then, where those changed nothing, by those of the location.
// As in nginx the latter are too late for return.
func (sh *Shard) realIP(r *Request, set *route.Settings) { r.env.UseRealIP(set.RealIP) }
