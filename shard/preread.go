package shard

// enterPreread decides about a stream's connection.
func (sh *Shard) enterPreread(s *Session) {}

// onPreread looks at a client's first bytes.
func (sh *Shard) onPreread(s *Session) (again bool) { return false }

func (sh *Shard) onPrereadTimer(s *Session) {}

// openStream begins the tunnel of a stream's connection.
func (sh *Shard) openStream(s *Session, r *Request) {}

// openConnect answers a CONNECT and begins its tunnel.
func (sh *Shard) openConnect(s *Session, r *Request) {}
