package shard

import (
	"holdfast/internal/sys"
	"holdfast/route"
)

// facts answers variables that are about the system.
type facts Shard

// Numbers are the connections of all shards.
func (f *facts) Numbers() route.StubNumbers {
	sh := (*Shard)(f)
	if sh.opt.Totals == nil {
		return route.StubNumbers{}
	}
	sh.publishTotals()
	return sh.opt.Totals.sum()
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
