package route

import (
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// MapSpec is a map, geo or split_clients block as read from the configuration.
type MapSpec struct {
	// Source is the text whose value is looked up, with variables. Of a geo it is empty where
	// the client's address is looked up.
	Source string
	// Name is the variable's name without "$".
	Name string
	// Default is the value when nothing matches, with variables.
	Default string
	Entries []MapEntry
	// Hostnames makes ".x", "*.x" and "x.*" masks of host names.
	Hostnames bool
	// Volatile says that the value is looked up anew each time.
	Volatile bool

	// Geo is set for a geo, Split for a split_clients; then nothing between Name and here is.
	Geo   *GeoSpec
	Split []SplitShare
}

// MapEntry is one line of a map.
type MapEntry struct {
	// Pattern is the string or mask to compare with, without an escaping backslash.
	Pattern string
	// Regexp is the pattern in the syntax of package regexp; empty for a string or mask.
	Regexp string
	// Value may contain variables, among them the captures of Regexp.
	Value string
}

// MapError is a MapSpec that was refused: the index of the spec, and of the entry in
// it or -1.
type MapError struct {
	Map, Entry int
	Err        error
}

// Error is the reason; the caller knows the place.
func (err *MapError) Error() string { return err.Err.Error() }

// Unwrap gives the *CompileError.
func (err *MapError) Unwrap() error { return err.Err }

// mapTable is a compiled map. Strings and masks match regardless of case and come
// before the regular expressions, which are tried in the order written.
type mapTable struct {
	name     string
	source   Template
	fallback mapValue
	plain    hostnames[*mapValue]
	regexes  []mapRegex
	sorts    sorter // of geo and split_clients; nil for a map
	index    int
	masks    bool
	volatile bool
	depends  []*mapTable
	late     bool // uses a variable that is known when a session ends only
}

// sorter finds the value for a source in its own way.
type sorter interface {
	find(e *Env, source []byte) *mapValue
}

type mapRegex struct {
	regex *regex
	value mapValue
}

// mapValue is a constant, or a template that is rendered when chosen.
type mapValue struct {
	constant []byte
	template Template
	dynamic  bool
}

// mapResult is a map's value for the rest of the request.
type mapResult struct {
	value []byte
	set   bool
}

// DefineMaps makes the variables of all map, geo and split_clients blocks known, in the order of the
// configuration, and returns what is wrong with them. Maps may use each other, but
// not themselves in a circle. Where two define the same variable, the later counts,
// as in nginx.
func (c *Compiler) DefineMaps(specs []MapSpec) []*MapError {
	var problems []*MapError
	tables := make([]*mapTable, len(specs))
	for i := range specs {
		name := strings.ToLower(specs[i].Name)
		if err := c.checkNewName(name); err != nil {
			problems = append(problems, &MapError{Map: i, Entry: -1, Err: err})
		}
		tables[i] = &mapTable{
			name:     name,
			index:    c.mapCount,
			masks:    specs[i].Hostnames,
			volatile: specs[i].Volatile,
		}
		c.mapCount++
		c.maps[name] = tables[i]
	}
	for i := range specs {
		for _, problem := range c.fillMap(tables[i], &specs[i]) {
			problem.Map = i
			problems = append(problems, problem)
		}
	}
	for i, table := range tables {
		if path := table.circle(table, map[*mapTable]bool{}); path != "" {
			problems = append(problems, &MapError{Map: i, Entry: -1, Err: &CompileError{
				Text: fmt.Sprintf(`the map "$%s" depends on itself: %s`, table.name, path),
				Hint: "break the circle",
			}})
		}
	}
	sort.SliceStable(problems, func(i, j int) bool { return problems[i].Map < problems[j].Map })
	return problems
}

// fillMap compiles the texts of spec into m.
func (c *Compiler) fillMap(m *mapTable, spec *MapSpec) (problems []*MapError) {
	complain := func(entry int, err error) {
		problems = append(problems, &MapError{Entry: entry, Err: err})
	}
	var err error
	if m.source, err = c.Compile(spec.Source); err != nil {
		complain(-1, err)
	}
	m.addDependencies(m.source)
	switch {
	case spec.Geo != nil:
		m.sorts = newGeo(spec.Geo, spec.Source != "")
	case spec.Split != nil:
		m.sorts = newSplit(spec.Split)
	}
	if m.fallback, err = c.mapValue(m, spec.Default); err != nil {
		complain(-1, err)
	}
	for i := range spec.Entries {
		entry := &spec.Entries[i]
		var re *regex
		if entry.Regexp != "" {
			if re, err = c.regex(entry.Regexp); err != nil {
				complain(i, err)
				continue
			}
		}
		value, err := c.mapValue(m, entry.Value)
		switch {
		case err != nil:
			complain(i, err)
		case re != nil:
			m.regexes = append(m.regexes, mapRegex{regex: re, value: value})
		case !m.addPlain(entry.Pattern, &value):
			complain(i, &CompileError{
				Text: "conflicting parameter " + strconv.Quote(entry.Pattern) + ` in the map "$` + m.name + `"`,
				Hint: "remove one of the two lines",
			})
		}
	}
	return problems
}

// addPlain enters a string or, in a map of host names, a mask.
func (m *mapTable) addPlain(pattern string, value *mapValue) bool {
	if m.masks {
		return m.plain.add(pattern, value)
	}
	if m.plain.exact == nil {
		m.plain.exact = map[string]*mapValue{}
	}
	key := strings.ToLower(pattern)
	if _, taken := m.plain.exact[key]; taken {
		return false
	}
	m.plain.exact[key] = value
	return true
}

func (c *Compiler) mapValue(m *mapTable, text string) (mapValue, error) {
	t, err := c.Compile(text)
	if err != nil {
		return mapValue{}, err
	}
	m.addDependencies(t)
	if constant, ok := t.Const(); ok {
		return mapValue{constant: []byte(constant)}, nil
	}
	return mapValue{template: t, dynamic: true}, nil
}

func (m *mapTable) addDependencies(t Template) {
	for i := range t.parts {
		m.late = m.late || t.parts[i].arg.hole != noHole
		if other := t.parts[i].arg.table; other != nil {
			m.depends = append(m.depends, other)
		}
	}
}

// circle is the way from m back to start, as text; "" if there is none.
func (m *mapTable) circle(start *mapTable, seen map[*mapTable]bool) string {
	seen[m] = true
	for _, next := range m.depends {
		if next == start {
			return "$" + m.name + " uses $" + start.name
		}
		if seen[next] {
			continue
		}
		if path := next.circle(start, seen); path != "" {
			return "$" + m.name + " uses $" + next.name + ", " + path
		}
	}
	return ""
}

// varMap renders a map's variable.
func varMap(dst []byte, e *Env, a *varArg) ([]byte, bool) {
	m := a.table
	if m.volatile {
		v := m.choose(e)
		if v.dynamic {
			return v.template.Append(dst, e), true
		}
		return append(dst, v.constant...), true
	}
	for len(e.maps) <= m.index {
		e.maps = append(e.maps, mapResult{})
	}
	if !e.maps[m.index].set {
		v := m.choose(e)
		value := v.constant
		if v.dynamic {
			buf := v.template.Append(e.borrow(), e)
			value = e.keep(buf)
			e.giveBack(buf)
		}
		e.maps[m.index] = mapResult{value: value, set: true}
	}
	return append(dst, e.maps[m.index].value...), true
}

// choose finds the value for the source as it renders now.
func (m *mapTable) choose(e *Env) *mapValue {
	buf := m.source.Append(e.borrow(), e)
	v := m.lookUp(e, buf)
	e.giveBack(buf)
	return v
}

func (m *mapTable) lookUp(e *Env, source []byte) *mapValue {
	if m.sorts != nil {
		return m.sorts.find(e, source)
	}
	if m.masks && len(source) > 0 && source[len(source)-1] == '.' {
		source = source[:len(source)-1]
	}
	key := source
	if hasUpper(source) {
		key = lower(append(e.borrow(), source...))
		defer e.giveBack(key)
	}
	if v, found := m.plain.find(key); found {
		return v
	}
	if len(m.regexes) == 0 || len(source) == 0 { // as in nginx, none is tried for nothing
		return &m.fallback
	}
	// The captures outlive this call, so they need a subject that does.
	subject := e.keep(source)
	for i := range m.regexes {
		if m.regexes[i].regex.match(e, subject) {
			return &m.regexes[i].value
		}
	}
	return &m.fallback
}
