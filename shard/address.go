package shard

import (
	"net/netip"

	"holdfast/internal/sys"
	"holdfast/pool"
)

// addressCache remembers the addresses of the clients that were accepted, or asked for,
// last: one for each value of a slot's low bits. A session has no room for its client's,
// and asking the kernel for each request is a system call.
type addressCache struct {
	entries [addressSlots]addressEntry
}

const addressSlots = 1 << 10

type addressEntry struct {
	of   pool.Handle
	addr netip.AddrPort
}

func (c *addressCache) put(h pool.Handle, addr netip.AddrPort) {
	c.entries[h.Slot%addressSlots] = addressEntry{of: h, addr: addr}
}

// remoteAddr is the address of the session's client; not valid for a unix socket.
func (sh *Shard) remoteAddr(s *Session) netip.AddrPort {
	h := sh.handle(s)
	if e := &sh.addresses.entries[h.Slot%addressSlots]; e.of == h {
		return e.addr
	}
	addr := sys.RemoteAddr(s.Down.FD)
	sh.addresses.put(h, addr)
	return addr
}
