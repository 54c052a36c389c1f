// Package route decides where a request goes and what its heads look like: it finds
// the server and the location, renders variables, and writes request, response and
// error heads.
//
// Everything is compiled once from the configuration (Compiler, Builder) into
// immutable values that any number of goroutines may use. What changes from request
// to request is in an Env, which belongs to one goroutine. There is no I/O and no
// clock, and on the way of a request nothing is allocated once an Env has grown its
// buffers, except by regular expressions.
package route

import (
	"slices"
	"strconv"
	"strings"
)

// Table finds the server of a request. It is immutable.
type Table struct {
	listens []listen
}

// listen is what is served on one address.
type listen struct {
	names    hostnames[*Server]
	regexes  []serverRegex
	fallback *Server
	servers  []*Server // in the order added
}

type serverRegex struct {
	regex  *regex
	server *Server
}

// Server is one virtual server. It is immutable once in a Table.
type Server struct {
	// Name is $server_name: the first name of server_name, without a leading ".".
	Name     string
	Settings Settings
	// Rewrite runs before a location is looked for; nil for nothing.
	Rewrite *Rewrite
	// Content is what happens to requests that no location matches, and to those
	// refused before one was looked for; nil only in tests.
	Content *Location

	// Stream is set for a server of the stream context, which has nothing else but names.
	Stream *StreamServer

	locations *level
	named     map[string]*Location
	keeps     uses // what variables in use need to be kept of requests
}

// ServerSpec is one server block for Builder.AddServer.
type ServerSpec struct {
	// Names are the names of server_name; none means the one name "".
	Names []ServerName
	// Listens are the addresses the server listens on.
	Listens  []ListenUse
	Settings Settings
	Rewrite  *Rewrite
	Content  *Location
	// Locations are all locations of the server level, also the named ones, in the
	// order written.
	Locations []LocationSpec
}

// ServerName is one name of server_name.
type ServerName struct {
	// Text is the name as written: "example.com", "*.example.com", ".example.com",
	// "www.example.*", "~regex" or "".
	Text string
	// Regexp is the pattern in the syntax of package regexp; empty unless Text begins
	// with "~".
	Regexp string
}

// ListenUse is one address of a server.
type ListenUse struct {
	Listen  int  // which of the addresses given to NewBuilder, from 0
	Default bool // listen … default_server
}

// Builder makes a Table.
type Builder struct {
	compiler *Compiler
	listens  []listen
	explicit []bool // a default_server was named
	servers  []*Server
}

// NewBuilder begins a Table for listens distinct addresses, numbered from 0.
func NewBuilder(c *Compiler, listens int) *Builder {
	return &Builder{compiler: c, listens: make([]listen, listens), explicit: make([]bool, listens)}
}

// AddServer adds a server; call it in the order of the configuration, which decides
// between regular expressions, equal names and default servers. The error is a
// *CompileError about a regular expression or a duplicate location.
func (b *Builder) AddServer(spec *ServerSpec) (*Server, error) {
	s := &Server{Settings: spec.Settings, Rewrite: spec.Rewrite, Content: spec.Content}
	names := spec.Names
	if len(names) == 0 {
		names = []ServerName{{}}
	}
	s.Name = strings.TrimPrefix(names[0].Text, ".")
	var err error
	if s.locations, err = b.compiler.newLevel(spec.Locations); err != nil {
		return nil, err
	}
	for i := range spec.Locations {
		l := &spec.Locations[i]
		if l.Modifier != NamedLocation {
			continue
		}
		if s.named == nil {
			s.named = map[string]*Location{}
		}
		if s.named[l.Pattern] != nil {
			return nil, &CompileError{
				Text: "duplicate location " + strconv.Quote(l.Pattern),
				Hint: "remove one of the two",
			}
		}
		s.named[l.Pattern] = l.Location
	}
	regexes := make([]*regex, len(names))
	for i := range names {
		if names[i].Regexp == "" {
			continue
		}
		if regexes[i], err = b.compiler.regex(names[i].Regexp); err != nil {
			return nil, err
		}
	}
	for _, use := range spec.Listens {
		b.addTo(use, s, names, regexes)
	}
	b.servers = append(b.servers, s)
	return s, nil
}

func (b *Builder) addTo(use ListenUse, s *Server, names []ServerName, regexes []*regex) {
	l := &b.listens[use.Listen]
	if l.fallback == nil || use.Default && !b.explicit[use.Listen] {
		l.fallback = s
	}
	b.explicit[use.Listen] = b.explicit[use.Listen] || use.Default
	l.servers = append(l.servers, s)
	for i := range names {
		if regexes[i] != nil {
			l.regexes = append(l.regexes, serverRegex{regex: regexes[i], server: s})
			continue
		}
		// A name that an earlier server has stays that one's; config has warned.
		l.names.add(names[i].Text, s)
	}
}

// Table finishes the table. Call it when every text of the configuration has been
// compiled; the Builder must not be used any more.
func (b *Builder) Table() *Table {
	for _, s := range b.servers {
		s.keeps = b.compiler.uses
	}
	return &Table{listens: b.listens}
}

// Number is which of the servers of the address numbered listen s is, in the order in which
// they were added, from 0; -1 for none of them.
func (t *Table) Number(listen int, s *Server) int { return slices.Index(t.listens[listen].servers, s) }

// At is server number i of the address numbered listen (Number); nil if there is none.
func (t *Table) At(listen, i int) *Server {
	if servers := t.listens[listen].servers; i >= 0 && i < len(servers) {
		return servers[i]
	}
	return nil
}

// Default is the default server of the address numbered listen (default_server, else
// the first): what holds before a request has named its host.
func (t *Table) Default(listen int) *Server { return t.listens[listen].fallback }

// FindServer is the server for a request to host (without port, any case; empty if
// there was none) that came in on the address numbered listen: by exact name, the
// longest mask "*.x", the longest mask "x.*", the first regular expression that
// matches, or the default server (server_name). It is nil only if no server was added
// for listen. e receives the captures of a regular expression, which alias host or
// e's own memory.
func (t *Table) FindServer(listen int, host []byte, e *Env) *Server {
	if s := t.FindNamed(listen, host, e); s != nil {
		return s
	}
	return t.listens[listen].fallback
}

// FindNamed is FindServer without the default server: nil if no server has that name.
func (t *Table) FindNamed(listen int, host []byte, e *Env) *Server {
	l := &t.listens[listen]
	if n := len(host); n > 0 && host[n-1] == '.' {
		host = host[:n-1]
	}
	if hasUpper(host) {
		host = lower(e.keep(host))
	}
	if s, found := l.names.find(host); found {
		return s
	}
	if len(host) > 0 {
		for i := range l.regexes {
			if l.regexes[i].regex.match(e, host) {
				return l.regexes[i].server
			}
		}
	}
	return nil
}

// Locate is the location for e.URI by nginx's rules (location): an "=" location; else
// the longest prefix, whose nested locations are searched likewise; then, unless that
// prefix has "^~", the first regular expression in the order written. It is nil if
// nothing matches. redirect says that the request lacks only the final slash of a
// proxied location and is to be answered with AppendSlashRedirect.
func (s *Server) Locate(e *Env) (location *Location, redirect bool) {
	location, redirect, _ = s.locations.find(e)
	return location, redirect
}

// Named is the location @name, given with its "@", or nil.
func (s *Server) Named(name string) *Location { return s.named[name] }
