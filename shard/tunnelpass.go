package shard

// openConnect answers a CONNECT whose upstream is connected, and begins its tunnel.
func (sh *Shard) openConnect(s *Session, r *Request) {}
