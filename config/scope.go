package config

import "slices"

// scope is what http and stream each have of their own: formats, maps, upstreams and
// variables of one are unknown in the other, and may share names.
type scope struct {
	formats    map[string]*LogFormat
	logFormats []*LogFormat
	maps       []*Map
	upstreams  map[string]*Upstream // by lower-case name
	blocks     []*Upstream          // in file order
	implicit   []*Upstream
	matches    map[string]*Match // by name; nil while there is none
	captures   map[string]bool
	sets       map[string]bool // the variables of set directives
	texts      []textUse
}

// textUse is a text with variables and where it is.
type textUse struct {
	at        Position
	directive string
	text      string
}

// bothContexts is the part of a loader that http and stream have twice, and what is
// judged over both at the end.
type bothContexts struct {
	http, stream scope
	referers     []*Referers // all of them
	limitConns   []limitUse
	limitReqs    []LimitReq
	buffered     map[string]AccessLog // by path: the first that gathers lines
}

func newScope() scope {
	return scope{
		formats: map[string]*LogFormat{}, upstreams: map[string]*Upstream{}, captures: map[string]bool{},
		sets: map[string]bool{},
	}
}

// closeScopes copies what the scopes collected into the configuration.
func (l *loader) closeScopes() {
	h, s := &l.cfg.HTTP, &l.cfg.Stream
	h.LogFormats, s.LogFormats = l.http.logFormats, l.stream.logFormats
	h.Maps, s.Maps = l.http.maps, l.stream.maps
	h.Upstreams = slices.Concat(l.http.blocks, l.http.implicit)
	s.Upstreams = slices.Concat(l.stream.blocks, l.stream.implicit)
	h.CaptureNames, s.CaptureNames = sortedKeys(l.http.captures), sortedKeys(l.stream.captures)
	h.SetNames, s.SetNames = sortedKeys(l.http.sets), sortedKeys(l.stream.sets)
}

// checkTexts passes every text with variables to the caller's check.
func (l *loader) checkTexts(s *scope, newCheck func(names []string) func(text string) error) {
	if newCheck == nil {
		return
	}
	names := slices.Concat(sortedKeys(s.captures), sortedKeys(s.sets))
	for _, m := range s.maps {
		names = append(names, m.Name)
	}
	slices.Sort(names)
	check := newCheck(slices.Compact(names))
	for _, use := range s.texts {
		if err := check(use.text); err != nil {
			l.errorf(use.at, "%s: %v", use.directive, err)
		}
	}
}
