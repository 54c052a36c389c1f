// Package origin is the backend of the benches: plain HTTP answers, WebSocket echo, bulk
// sources and sinks, on event loops of its own that cost as little as they can, so that
// the proxy in front of it is what a measurement shows. An idle connection has a record
// of some hundred bytes and no buffer.
//
// It trusts its clients to be the benches: it has no timeouts, and it answers what it
// does not understand by an error and a close.
package origin

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"holdfast/bench/load/poll"
)

// Server is a running backend.
type Server struct {
	address poll.Address
	loops   []*loop
	wg      sync.WaitGroup
}

// Listen starts a backend on HOST:PORT with that many event loops, each with a listening
// socket of its own.
func Listen(address string, loops int) (*Server, error) {
	if loops < 1 {
		return nil, errors.New("a backend needs a loop")
	}
	at, err := poll.Resolve(address)
	if err != nil {
		return nil, err
	}
	s := &Server{}
	for range loops {
		l, bound, err := newLoop(at, loops > 1)
		if err != nil {
			s.release()
			return nil, fmt.Errorf("listen on %s: %w", address, err)
		}
		at = bound // the second loop shares the port that the first one got
		s.loops = append(s.loops, l)
	}
	s.address = at
	for _, l := range s.loops {
		s.wg.Add(1)
		go func() { defer s.wg.Done(); l.run() }()
	}
	return s, nil
}

// Addr is where the backend listens, HOST:PORT.
func (s *Server) Addr() string { return s.address.String() }

// Connections is how many connections are open now.
func (s *Server) Connections() int {
	var n int64
	for _, l := range s.loops {
		n += l.open.Load()
	}
	return int(n)
}

// Close closes the listening sockets and every connection, and waits for the loops' end.
func (s *Server) Close() {
	for _, l := range s.loops {
		l.stop.Store(true)
		l.poller.Wake()
	}
	s.wg.Wait()
	s.release()
}

func (s *Server) release() {
	for _, l := range s.loops {
		l.poller.Close()
		poll.Close(l.listener)
	}
}

// newLoop makes a loop with its listening socket; it does not run yet.
func newLoop(at poll.Address, shared bool) (*loop, poll.Address, error) {
	fd, bound, err := poll.Listen(at, shared)
	if err != nil {
		return nil, bound, err
	}
	p, err := poll.New()
	if err != nil {
		poll.Close(fd)
		return nil, bound, err
	}
	if e := p.AddListener(fd, listenerData); e != 0 {
		p.Close()
		poll.Close(fd)
		return nil, bound, e
	}
	return &loop{poller: p, listener: fd, buf: make([]byte, room+readBytes), out: make([]byte, 0, readBytes)}, bound, nil
}

// counters of a loop that others read.
type counters struct {
	open atomic.Int64
	stop atomic.Bool
}
