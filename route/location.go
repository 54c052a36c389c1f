package route

import (
	"sort"
	"strconv"
)

// Modifier says how a location matches (location).
type Modifier uint8

// The location modifiers.
const (
	Prefix        Modifier = iota // location /path
	PrefixNoRegex                 // location ^~ /path
	Exact                         // location = /path
	Regex                         // location ~ regex
	RegexCaseless                 // location ~* regex
	NamedLocation                 // location @name
)

// String is the modifier as written in nginx.conf; empty for Prefix and
// NamedLocation.
func (m Modifier) String() string {
	switch m {
	case PrefixNoRegex:
		return "^~"
	case Exact:
		return "="
	case Regex:
		return "~"
	case RegexCaseless:
		return "~*"
	}
	return ""
}

// Location is what happens to the requests of one location block. Rewrite goes first,
// then the files of try_files, then Proxy; without one, Static. It is immutable once
// in a Table.
type Location struct {
	// Name is the location as written, with its modifier, for logs and metrics.
	// Builder.AddServer sets it.
	Name     string
	Settings Settings
	Proxy    *Proxy
	// TunnelPass makes tunnels of CONNECT requests; others get a 405. nil without tunnel_pass.
	TunnelPass *TunnelPass
	// Rewrite runs before anything else of the location; nil for nothing (set, if, rewrite, return, break).
	Rewrite *Rewrite
	// Except is for requests with other methods than it names; nil without limit_except.
	Except *Except
	// Handler answers before Proxy and Static do.
	Handler Handler
	// Static has the folder, index and try_files; nil only in tests.
	Static *Static
	// TryElse is what happens if no file of try_files is there; nil without try_files.
	TryElse *TryElse
	// Internal answers 404 to requests that did not come from inside (internal).
	Internal bool

	pattern  string
	nested   *level
	noRegex  bool
	modifier Modifier
}

// LocationSpec is one location block for Builder.AddServer.
type LocationSpec struct {
	Modifier Modifier
	// Pattern is the prefix, path, regex or @name as written.
	Pattern string
	// Regexp is the pattern in the syntax of package regexp, for Regex and RegexCaseless.
	Regexp string
	// Location is what is found. It must be in one LocationSpec only.
	Location *Location
	// Nested are the locations inside this one, in the order written.
	Nested []LocationSpec
}

// level is the locations of one server or location block, ready to be searched.
type level struct {
	prefixes []prefixEntry // sorted by name
	slashes  []slashEntry  // sorted by name
	regexes  []regexEntry  // in the order written
}

// prefixEntry is one path: the "=" location and the prefix location with that name,
// of which one may be nil. parent is the index of the longest other prefix location
// whose name this one begins with, or -1.
type prefixEntry struct {
	name   string
	exact  *Location
	prefix *Location
	parent int
}

// slashEntry is a proxied location that ends in "/", under its name without it.
type slashEntry struct {
	name     string
	location *Location
}

type regexEntry struct {
	regex    *regex
	location *Location
}

// newLevel compiles specs; it returns nil for none.
func (c *Compiler) newLevel(specs []LocationSpec) (*level, error) {
	l := &level{}
	entries := map[string]*prefixEntry{}
	for i := range specs {
		spec := &specs[i]
		location := spec.Location
		if err := c.prepare(location, spec); err != nil {
			return nil, err
		}
		switch spec.Modifier {
		case NamedLocation:
			continue
		case Regex, RegexCaseless:
			re, err := c.regex(spec.Regexp)
			if err != nil {
				return nil, err
			}
			l.regexes = append(l.regexes, regexEntry{regex: re, location: location})
			continue
		}
		entry := entries[spec.Pattern]
		if entry == nil {
			entry = &prefixEntry{name: spec.Pattern}
			entries[spec.Pattern] = entry
		}
		place := &entry.prefix
		if spec.Modifier == Exact {
			place = &entry.exact
		}
		if *place != nil {
			return nil, &CompileError{
				Text: "duplicate location " + strconv.Quote(spec.Pattern),
				Hint: "remove one of the two",
			}
		}
		*place = location
	}
	if len(entries) == 0 && len(l.regexes) == 0 {
		return nil, nil
	}
	l.arrange(entries)
	return l, nil
}

// prepare sets what a location knows about its own place.
func (c *Compiler) prepare(location *Location, spec *LocationSpec) (err error) {
	location.pattern = spec.Pattern
	location.modifier = spec.Modifier
	location.noRegex = spec.Modifier == PrefixNoRegex
	location.Name = spec.Pattern
	if m := spec.Modifier.String(); m != "" {
		location.Name = m + " " + spec.Pattern
	}
	location.Rewrite.place(location)
	if location.Except != nil {
		except := location.Except.location
		except.Name, except.pattern, except.modifier = location.Name, location.pattern, location.modifier
	}
	location.nested, err = c.newLevel(spec.Nested)
	return err
}

// arrange sorts the entries and links each to its parent.
func (l *level) arrange(entries map[string]*prefixEntry) {
	for _, entry := range entries {
		l.prefixes = append(l.prefixes, *entry)
		slash := entry.exact
		if slash == nil || slash.Proxy == nil {
			slash = entry.prefix
		}
		if n := len(entry.name); n > 0 && entry.name[n-1] == '/' && slash != nil && slash.Proxy != nil {
			l.slashes = append(l.slashes, slashEntry{name: entry.name[:n-1], location: slash})
		}
	}
	sort.Slice(l.prefixes, func(i, j int) bool { return l.prefixes[i].name < l.prefixes[j].name })
	sort.Slice(l.slashes, func(i, j int) bool { return l.slashes[i].name < l.slashes[j].name })
	var chain []int // prefix locations that the present entry may begin with, shortest first
	for i := range l.prefixes {
		entry := &l.prefixes[i]
		for len(chain) > 0 && !hasPrefix(entry.name, l.prefixes[chain[len(chain)-1]].name) {
			chain = chain[:len(chain)-1]
		}
		entry.parent = -1
		if len(chain) > 0 {
			entry.parent = chain[len(chain)-1]
		}
		if entry.prefix != nil {
			chain = append(chain, i)
		}
	}
}

func hasPrefix[T string | []byte](text T, prefix string) bool {
	return len(text) >= len(prefix) && string(text[:len(prefix)]) == prefix
}

// find is nginx's choice among the locations of l. final says that the regular
// expressions of the levels outside are not asked any more; redirect, that the answer
// is a redirect to the location's name.
func (l *level) find(e *Env) (found *Location, redirect, final bool) {
	if l == nil {
		return nil, false, false
	}
	exact, prefix := l.findPrefix(e.URI)
	if exact != nil {
		return exact, false, true
	}
	if prefix == nil || len(prefix.pattern) != len(e.URI) {
		if slash := l.findSlash(e.URI); slash != nil {
			return slash, true, true
		}
	}
	found = prefix
	if prefix != nil {
		if inner, redirect, final := prefix.nested.find(e); final {
			return inner, redirect, true
		} else if inner != nil {
			found = inner
		}
	}
	if prefix != nil && prefix.noRegex {
		return found, false, false
	}
	for i := range l.regexes {
		entry := &l.regexes[i]
		if !entry.regex.match(e, e.URI) {
			continue
		}
		// A redirect inside a regex location is not made, as in nginx.
		if inner, _, _ := entry.location.nested.find(e); inner != nil {
			return inner, false, true
		}
		return entry.location, false, true
	}
	return found, false, false
}

// findPrefix is the "=" location that equals uri, and the prefix location with the
// longest name that uri begins with.
//
// Whatever sorts between such a name and uri begins with that name too. So the name
// is that of the last entry not after uri, or of one of that entry's parents.
func (l *level) findPrefix(uri []byte) (exact, prefix *Location) {
	low, high := 0, len(l.prefixes)
	for low < high {
		middle := int(uint(low+high) >> 1)
		if l.prefixes[middle].name <= string(uri) {
			low = middle + 1
		} else {
			high = middle
		}
	}
	at := low - 1
	if at < 0 {
		return nil, nil
	}
	if entry := &l.prefixes[at]; entry.exact != nil && entry.name == string(uri) {
		return entry.exact, nil
	}
	for at >= 0 {
		entry := &l.prefixes[at]
		if entry.prefix != nil && hasPrefix(uri, entry.name) {
			return nil, entry.prefix
		}
		at = entry.parent
	}
	return nil, nil
}

// findSlash is the proxied location whose name is uri with a "/" behind it. nginx
// redirects such a request to the name (location).
func (l *level) findSlash(uri []byte) *Location {
	low, high := 0, len(l.slashes)
	for low < high {
		middle := int(uint(low+high) >> 1)
		if l.slashes[middle].name < string(uri) {
			low = middle + 1
		} else {
			high = middle
		}
	}
	if low < len(l.slashes) && l.slashes[low].name == string(uri) {
		return l.slashes[low].location
	}
	return nil
}
