package health

// status is what a check thinks of a server.
type status uint8

const (
	up        status = iota
	checking         // mandatory, and it has not passed yet
	unhealthy        // it failed
)

// state is what is known about one server by one check.
type state struct {
	status status
	passed bool // the last result
	run    int  // how many results in a row were like the last one
}

// note takes a result. changed tells that the server is healthy or unhealthy from now on, and
// was not before.
func (s *state) note(passed bool, c *Check) (changed bool) {
	if s.passed != passed {
		s.run = 0
	}
	s.passed = passed
	s.run++
	was := s.status
	switch {
	case passed && s.run >= c.Passes:
		s.status = up
	case !passed && s.run >= c.Fails:
		s.status = unhealthy
	}
	return s.status != was
}

// renewed is the state under the next configuration.
func (s *state) renewed(c *Check) state {
	if c.Mandatory && (!c.Persistent || s.status == checking) {
		return state{status: checking}
	}
	return *s
}
