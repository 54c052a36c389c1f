package route

import "regexp"

// groupsMax is the number of numbered captures: the whole match and $1 to $9.
const groupsMax = 10

// captures are what the last matching regular expression left behind: its groups by
// number, and by name those of every expression that matched in this request, as
// nginx keeps them.
type captures struct {
	subject []byte
	groups  [groupsMax * 2]int32 // offsets into subject; -1 for a group that took no part
	count   int                  // groups in use
	named   []namedCapture       // by the compiler's slot
}

type namedCapture struct {
	value []byte
	set   bool
}

// regex is a compiled regular expression and the slots of its named groups.
type regex struct {
	re    *regexp.Regexp
	slots []int // per group; -1 for a group without name
}

// match looks for r in subject and, if found, records its captures. They alias
// subject.
func (r *regex) match(e *Env, subject []byte) bool {
	if r.re.NumSubexp() == 0 {
		if !r.re.Match(subject) {
			return false
		}
		e.captures.count = 0
		return true
	}
	found := r.re.FindSubmatchIndex(subject)
	if found == nil {
		return false
	}
	c := &e.captures
	c.subject = subject
	c.count = min(len(found)/2, groupsMax)
	for i := range 2 * c.count {
		c.groups[i] = int32(found[i])
	}
	for group, slot := range r.slots {
		if slot < 0 {
			continue
		}
		for len(c.named) <= slot {
			c.named = append(c.named, namedCapture{})
		}
		c.named[slot] = namedCapture{}
		if start := found[2*group]; start >= 0 {
			c.named[slot] = namedCapture{value: subject[start:found[2*group+1]], set: true}
		}
	}
	return true
}

// varGroup renders $1 to $9.
func varGroup(dst []byte, e *Env, a *varArg) ([]byte, bool) {
	c := &e.captures
	if a.index >= c.count || c.groups[2*a.index] < 0 {
		return dst, false
	}
	return append(dst, c.subject[c.groups[2*a.index]:c.groups[2*a.index+1]]...), true
}

// varNamedCapture renders a named group.
func varNamedCapture(dst []byte, e *Env, a *varArg) ([]byte, bool) {
	if a.index >= len(e.captures.named) || !e.captures.named[a.index].set {
		return dst, false
	}
	return append(dst, e.captures.named[a.index].value...), true
}
