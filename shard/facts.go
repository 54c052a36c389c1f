package shard

import (
	"holdfast/internal/sys"
	"holdfast/route"
)

// facts answers variables that are about the system.
type facts Shard

// Numbers are the connections of all shards. As in nginx the connection of a request that is being
// logged is there, but neither writes any more nor waits yet.
func (f *facts) Numbers() route.StubNumbers {
	sh := (*Shard)(f)
	if sh.opt.Totals == nil {
		return route.StubNumbers{}
	}
	sh.publishTotals()
	n := sh.opt.Totals.sum()
	switch {
	case sh.logged == nil:
	case sh.logged.state == Closed:
		n.Active++
	case sh.logged.state == Idle && n.Waiting > 0:
		n.Waiting--
	}
	return n
}

// RealPath appends what path leads to.
func (f *facts) RealPath(dst, path []byte) (out []byte, ok bool) {
	var named [1024]byte // the shard's own buffer for paths may be what is being rendered
	out, errno := sys.RealPath(dst, append(append(named[:0], path...), 0))
	return out, errno == 0
}

// TCPInfo asks the kernel about a socket.
func (f *facts) TCPInfo(fd int32) (info route.TCPInfo, ok bool) {
	rtt, errno := sys.GetTCPInfo(fd)
	return route.TCPInfo(rtt), errno == 0
}
