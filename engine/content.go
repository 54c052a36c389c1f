package engine

import (
	"runtime/debug"

	"holdfast/config"
	"holdfast/route"
)

// compiled keeps what the levels of a configuration share, so that a list inherited
// by a thousand locations is compiled once. The keys are the first members of lists,
// which levels that inherit them share.
type compiled struct {
	errorPages map[*config.ErrorPage]route.ErrorPages
	earlyHints map[*config.Text]*route.EarlyHints
	types      map[*config.Types]*route.Types
	headers    map[headersKey]*route.Headers
	realIPs    map[realIPKey]*route.RealIP
	referers   map[*config.Referers]*route.Referers
}

type headersKey struct {
	add     *config.AddHeader
	expires *config.Expires
}

func newCompiled() compiled {
	return compiled{
		errorPages: map[*config.ErrorPage]route.ErrorPages{},
		earlyHints: map[*config.Text]*route.EarlyHints{},
		types:      map[*config.Types]*route.Types{},
		headers:    map[headersKey]*route.Headers{},
		realIPs:    map[realIPKey]*route.RealIP{},
		referers:   map[*config.Referers]*route.Referers{},
	}
}

// answers translates what shapes answers into r.
func (b *builder) answers(r *route.Settings, s *config.Settings) {
	r.ErrorPages = b.errorPages(s.ErrorPages)
	r.RecursiveErrorPages = s.RecursiveErrorPages
	r.InterceptErrors = s.Proxy.InterceptErrors
	r.ServerName = b.serverName(s)
	r.Headers = b.headers(s)
	r.EarlyHints = b.earlyHints(s.EarlyHints)

	f := &s.Files
	r.Types, r.DefaultType = b.types(f.Types), s.DefaultType
	r.MaxRanges = int32(f.MaxRanges)
	r.ETag = f.ETag
	r.IfModifiedSince = route.IfModifiedSince(f.IfModifiedSince)
	r.Sendfile = f.Sendfile
	r.LogNotFound = f.LogNotFound
}

func (b *builder) errorPages(pages []config.ErrorPage) route.ErrorPages {
	if len(pages) == 0 {
		return route.ErrorPages{}
	}
	if done, ok := b.shared.errorPages[&pages[0]]; ok {
		return done
	}
	var specs []route.ErrorPageSpec
	for _, p := range pages {
		spec := route.ErrorPageSpec{Statuses: p.Statuses, Overwrite: p.Overwrite, Target: p.Target}
		if _, err := b.compiler.NewErrorPages([]route.ErrorPageSpec{spec}); err != nil {
			b.fail(p.Position, err)
			continue
		}
		specs = append(specs, spec)
	}
	done, err := b.compiler.NewErrorPages(specs)
	if err != nil {
		b.fail(pages[0].Position, err)
	}
	b.shared.errorPages[&pages[0]] = done
	return done
}

func (b *builder) earlyHints(conditions []config.Text) *route.EarlyHints {
	if len(conditions) == 0 {
		return nil
	}
	if done, ok := b.shared.earlyHints[&conditions[0]]; ok {
		return done
	}
	list := make([]string, len(conditions))
	for i, c := range conditions {
		list[i] = c.Text
	}
	done, err := b.compiler.NewEarlyHints(list)
	if err != nil {
		b.fail(b.firstBad(conditions), err)
	}
	b.shared.earlyHints[&conditions[0]] = done
	return done
}

func (b *builder) types(t *config.Types) *route.Types {
	if t == nil { // settings that no configuration has been read into
		return nil
	}
	done, ok := b.shared.types[t]
	if !ok {
		done = route.NewTypes(t.ByEnding)
		b.shared.types[t] = done
	}
	return done
}

// headers compiles add_header and expires, each alone first, so that an error is
// reported at its own line.
func (b *builder) headers(s *config.Settings) *route.Headers {
	key := headersKey{expires: s.Expires}
	if len(s.AddHeaders) > 0 {
		key.add = &s.AddHeaders[0]
	}
	if done, ok := b.shared.headers[key]; ok {
		return done
	}
	var spec route.HeadersSpec
	for _, h := range s.AddHeaders {
		spec.Add = append(spec.Add, route.AddHeader{Name: h.Name, Value: h.Value, Always: h.Always})
		_, err := b.compiler.NewHeaders(&route.HeadersSpec{Add: spec.Add[len(spec.Add)-1:]})
		if err != nil {
			b.fail(h.Position, err)
		}
	}
	if e := s.Expires; e != nil {
		spec.Expires, spec.Modified = e.Text, e.Modified
		if _, err := b.compiler.NewHeaders(&route.HeadersSpec{Expires: e.Text, Modified: e.Modified}); err != nil {
			b.fail(e.Position, err)
		}
	}
	done, _ := b.compiler.NewHeaders(&spec) // what is wrong with it has been said
	b.shared.headers[key] = done
	return done
}

// serverName is the value of the Server field; empty stands for the bare name.
func (b *builder) serverName(s *config.Settings) string {
	switch s.ServerTokens {
	case config.TokensOn:
		return "holdfast/" + b.version
	case config.TokensBuild:
		if commit := buildCommit(); commit != "" {
			return "holdfast/" + b.version + " (" + commit + ")"
		}
		return "holdfast/" + b.version
	case config.TokensText:
		return s.ServerName
	}
	return ""
}

// buildCommit is the start of the hash of the commit that the program was built from;
// empty if it is not known.
func buildCommit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value[:min(len(s.Value), 12)]
		}
	}
	return ""
}

// static compiles the folder of a level, and its try_files if it has one.
func (b *builder) static(s *config.Settings, m route.Modifier, pattern string, try *config.TryFiles) *route.Static {
	root := &s.Files.Root
	spec := route.StaticSpec{
		Root: root.Path, Alias: root.Alias, Prefix: b.cfg.Main.Prefix, Modifier: m, Pattern: pattern,
	}
	if root.Alias { // perhaps of an outer location
		spec.Modifier, spec.Pattern = modifiers[root.Modifier], root.Pattern
	}
	texts := []config.Text{{Position: root.Position, Text: root.Path}}
	for _, name := range s.Files.Index {
		spec.Index = append(spec.Index, name.Text)
		texts = append(texts, name)
	}
	if try != nil {
		spec.TryFiles = try.Files
		for _, file := range try.Files {
			texts = append(texts, config.Text{Position: try.Position, Text: file})
		}
	}
	static, err := b.compiler.NewStatic(&spec)
	if err != nil {
		b.fail(b.firstBad(texts), err)
	}
	return static
}

// tryElse compiles the last argument of try_files.
func (b *builder) tryElse(try *config.TryFiles) *route.TryElse {
	if try == nil {
		return nil
	}
	last, err := b.compiler.NewTryElse(try.Last)
	if err != nil {
		b.fail(try.Position, err)
	}
	return last
}

// firstBad is where the first text stands that does not compile, or else the first
// one.
func (b *builder) firstBad(texts []config.Text) config.Position {
	for _, t := range texts {
		if _, err := b.compiler.Compile(t.Text); err != nil {
			return t.Position
		}
	}
	return texts[0].Position
}
