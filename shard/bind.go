package shard

import (
	"holdfast/internal/sys"
	"holdfast/route"
	"holdfast/upstream"
)

// bindAddrs are the addresses that the request's connections may come from (proxy_bind); nil
// for a CONNECT, which has one of its own.
func (r *Request) bindAddrs() *route.LocalAddrs {
	switch {
	case r.stream != nil:
		return r.stream.Proxy.Bind()
	case r.connect || r.proxy == nil:
		return nil
	}
	return r.proxy.Bind()
}

// boundIdentity sets the numbers of identities apart from those of TLS settings.
const boundIdentity = 1 << 31

// identifyBind lets only requests with the same proxy_bind share a connection.
func (sh *Shard) identifyBind(r *Request) {
	if addrs := r.bindAddrs(); addrs != nil && addrs.Len() > 0 {
		r.identity = sh.identities.of(boundIdentity|r.identity, addrs.Key()).number
	}
}

// beginConnect begins a connection to peer. Of several local addresses each gets its turn; one
// whose ports are used up is passed over.
func (sh *Shard) beginConnect(r *Request, peer *upstream.Peer) (fd int32, errno sys.Errno) {
	if peer.Unix != "" {
		return sys.DialUnix(peer.Unix)
	}
	addrs := r.bindAddrs()
	if addrs == nil || addrs.Len() == 0 {
		return sys.DialFrom(r.bind, peer.Addr)
	}
	ip := peer.Addr.Addr()
	fd, errno = -1, sys.EADDRNOTAVAIL
	for range addrs.Len() {
		local, ok := addrs.Pick(&r.env, sh.bindTurn, !ip.Is4() && !ip.Is4In6())
		sh.bindTurn++
		if !ok {
			break
		}
		if addrs.Transparent && local.IsValid() {
			fd, errno = sys.DialTransparent(local, peer.Addr)
		} else {
			fd, errno = sys.DialFrom(local, peer.Addr)
		}
		if errno != sys.EADDRNOTAVAIL {
			break
		}
	}
	return fd, errno
}
