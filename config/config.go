// Package config reads nginx.conf into a validated, immutable Config.
//
// Reading order: lex.go turns text into statements and follows include; table.go
// and the directives_*.go files say which directive is allowed where and which
// function reads it; walk.go applies the table to the statements, level by level,
// so that every level starts as a copy of the one above it (nginx's inheritance);
// listeners.go and checkNamed judge what only shows once everything is read.
//
// A Config holds no pointer into the text it came from, is never changed after
// Load returned it, and may be read by any number of goroutines. Texts with
// variables stay text: whoever compiles them has a Position to complain with.
package config

import (
	"net/netip"
	"strconv"
	"time"
)

// Position is where something was written.
type Position struct {
	// File is the file's name, as given to Load or found by include; "command
	// line" for the text of -g. Empty for values that nobody wrote (defaults).
	File string
	// Line counts from 1.
	Line int
}

// String is "file:line".
func (p Position) String() string { return p.File + ":" + strconv.Itoa(p.Line) }

// Config is one validated configuration.
type Config struct {
	Main   Main
	Events Events
	HTTP   HTTP
	Stream Stream
	// LimitZones are the tables of limit_conn_zone, of http and stream.
	LimitZones []*LimitZone
	// LimitReqZones are the tables of limit_req_zone.
	LimitReqZones []*LimitReqZone
	// Files are all files read, in the order of their first reading.
	Files []SourceFile
}

// SourceFile is one file that was read, whole, for printing (-T).
type SourceFile struct{ Name, Text string }

// Main is what the main context says.
type Main struct {
	// WorkerProcesses is the number of shards; 0 means one per core (auto).
	WorkerProcesses int
	// WorkerRlimitNofile is the limit of open files to set; 0 means not written.
	WorkerRlimitNofile int64
	// ErrorLogs is never empty.
	ErrorLogs []ErrorLog
	// PID is the absolute path of the pid file.
	PID string
	// User is nil unless the process may change its user and one was named.
	User *User
	// TunnelsMin is the number of tunnels the start must be able to hold
	// (tunnels_min); 0 means no demand.
	TunnelsMin int
	// ShutdownTimeout is how long a graceful end waits for what is open; 0 means no limit
	// (worker_shutdown_timeout).
	ShutdownTimeout time.Duration
	// Admin is where the admin listener listens; nil means off.
	Admin *Addr
	// Prefix is the absolute folder that relative log and pid paths were joined to.
	Prefix string
}

// User is whom the process becomes once its ports are bound (user).
type User struct {
	Position
	Name, Group string
	UID, GID    int
	// Groups are the supplementary groups, GID among them (initgroups(3)).
	Groups []int
}

// Events is what the events context says.
type Events struct {
	// WorkerConnections is the number of connections per shard.
	WorkerConnections int
	// Steering is how a new connection's shard is chosen (listen_steering, ours).
	Steering Steering
	// Handshakes bounds TLS handshakes (ssl_handshakes, ours).
	Handshakes Handshakes
	// KernelTLS gives TLS connections to the kernel (ssl_ktls, ours).
	KernelTLS bool
}

// HTTP is what the http context says.
type HTTP struct {
	LogFormats []*LogFormat
	Maps       []*Map
	// Upstreams are the upstream blocks in file order, then one implicit upstream
	// per distinct address written directly in a proxy_pass.
	Upstreams []*Upstream
	// Servers are in file order.
	Servers []*Server
	// Listeners are the distinct addresses of all listen directives, those of stream
	// among them, in the order of their first appearance.
	Listeners []*Listener
	// CaptureNames are the names of all named captures of all regular expressions,
	// sorted, without duplicates: each of them is a variable in every text.
	CaptureNames []string
	// SetNames are the names of all variables that a set directive gives a value to,
	// without "$", sorted, without duplicates; $args and $limit_rate are not among them.
	SetNames []string
	// Settings are the values of the http level itself.
	Settings Settings
}

// Addr is an Internet or a unix-domain address.
type Addr struct {
	// Unix is the socket's path; empty for an Internet address.
	Unix string
	// IP is valid if Unix is empty.
	IP netip.AddrPort
}

// String is "address:port" or "unix:path".
func (a Addr) String() string {
	if a.Unix != "" {
		return "unix:" + a.Unix
	}
	return a.IP.String()
}

// Listener is one distinct address with the options of its one socket. The
// options may be written in only one server per address, as in nginx.
type Listener struct {
	// Position is the first listen directive with this address.
	Position
	Addr Addr
	// Default answers when no server_name matches. Never nil.
	Default *Server
	// Servers listen here, in file order; Default is one of them.
	Servers []*Server
	Options ListenOptions
	// SSL has every connection begin with a TLS handshake, ProxyProtocol with the header of
	// the PROXY protocol, before it.
	SSL, ProxyProtocol bool
}

// ListenOptions are the parameters of a listen directive that belong to the
// socket. The zero value of a field means that it was not written, unless said
// otherwise.
type ListenOptions struct {
	// Backlog is the length of the accept queue; 511 unless written.
	Backlog int
	// Rcvbuf and Sndbuf are SO_RCVBUF and SO_SNDBUF in bytes.
	Rcvbuf, Sndbuf int64
	// FastOpen is the TCP_FASTOPEN queue length.
	FastOpen int
	// Keepalive is the TCP keepalive of the accepted connections; on unless
	// written otherwise (a deviation from nginx).
	Keepalive Keepalive
	// Deferred asks for TCP_DEFER_ACCEPT.
	Deferred bool
	// IPv6Only is IPV6_V6ONLY; true unless written.
	IPv6Only bool
	// Bind asks for a socket of its own. Every address has one anyway.
	Bind bool
	// Reuseport was written. Every shard has its own socket anyway.
	Reuseport bool
	// Shared allows other processes on the same address (ours).
	Shared bool
}

// Keepalive is TCP keepalive: on or off, with zero for values left to the
// defaults of holdfast.
type Keepalive struct {
	Off      bool
	Idle     time.Duration // TCP_KEEPIDLE
	Interval time.Duration // TCP_KEEPINTVL
	Count    int           // TCP_KEEPCNT
}

// Server is one virtual server.
type Server struct {
	Position
	// Listeners are the addresses of this server. Empty only if all its listen
	// directives were for QUIC.
	Listeners []*Listener
	// Names is never empty: a server without server_name has the name "".
	Names    []ServerName
	Settings Settings
	// Locations are the unnamed locations of the server level, in file order.
	Locations []*Location
	// Named are the locations whose name begins with "@".
	Named []*Location
	// Rewrite is what the directives of the rewrite module do before a location is looked for,
	// in file order.
	Rewrite []RewriteStep
	// Return is the first return in Rewrite outside of if blocks; nil if there is none.
	Return *Return
	// TryFiles is for requests that no location matches; nil if not written.
	TryFiles *TryFiles
	// Handler answers what no location matches.
	Handler Handler
	// TunnelPass makes tunnels of CONNECT requests that no location matches; nil if not written.
	TunnelPass *TunnelPass
	// Stream is set for a server of the stream context, which has no locations.
	Stream *StreamServer
}

// NameKind says how a server name matches.
type NameKind uint8

// The kinds of server names.
const (
	NameExact  NameKind = iota // example.com, or "" for a request without Host
	NamePrefix                 // *.example.com: any labels before
	NameDot                    // .example.com: the name and any labels before
	NameSuffix                 // example.*: any labels behind
	NameRegex                  // ~regex
)

// ServerName is one name of a server_name directive.
type ServerName struct {
	Position
	// Text is the name as nginx keeps it: lower-case unless it is a regex, with
	// its "*." or ".*", "." or "~".
	Text string
	Kind NameKind
	// Regexp is the pattern for package regexp, for NameRegex.
	Regexp string
}

// Modifier says how a location matches.
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

// Location is one location block. Rewrite goes first; then TryFiles; then ProxyPass, and
// without one files (Settings.Files).
type Location struct {
	Position
	Modifier Modifier
	// Pattern is the prefix, path, regex or @name as written.
	Pattern string
	// Regexp is the pattern for package regexp, for Regex and RegexCaseless.
	Regexp string
	// Settings are fully merged: nothing has to be looked up in outer levels.
	Settings Settings
	// Rewrite is what the directives of the rewrite module do, in file order.
	Rewrite []RewriteStep
	// Nested are the locations inside this one, in file order.
	Nested    []*Location
	ProxyPass *ProxyPass
	// Handler answers before ProxyPass and files do.
	Handler Handler
	// TunnelPass makes tunnels of CONNECT requests and refuses others; then there is no
	// ProxyPass.
	TunnelPass *TunnelPass
	// Return is the first return in Rewrite outside of if blocks; nil if there is none.
	Return   *Return
	TryFiles *TryFiles
	// Except is for requests with other methods than it names; nil without limit_except.
	Except *Except
	// HealthCheck is nil without health_check.
	HealthCheck *HealthCheck
	// Internal answers 404 to requests that do not come from inside: from error_page,
	// try_files or index.
	Internal bool
}

// Return is a return directive: Code with a body in Text, or a redirect to URL.
type Return struct {
	Position
	// Code is 0 to 999. 444 means: close without an answer.
	Code int
	// Text is the body, with variables; meaningful if HasText.
	Text    string
	HasText bool
	// URL is the redirect's target, with variables; empty if it is no redirect.
	URL string
}

// ProxyPass is a proxy_pass directive.
type ProxyPass struct {
	Position
	// Text is the argument as written.
	Text string
	// Variables says that Text contains variables; then nothing below is set.
	Variables bool
	// TLS says that the URL begins with https://.
	TLS bool
	// Upstream is where the requests go. It is one of HTTP.Upstreams.
	Upstream *Upstream
	// Host is $proxy_host: the host as written, with ":port" unless it is 80, or 443 with TLS.
	Host string
	// Port is $proxy_port.
	Port string
	// URI replaces the part of the request's URI that the location matched;
	// meaningful if HasURI.
	URI    string
	HasURI bool
}

// Map is a map, geo or split_clients block.
type Map struct {
	Position
	// Source is the text whose value is looked up, with variables. Of a geo it is empty
	// where the client's address is looked up.
	Source string
	// Name is the variable's name without "$".
	Name string
	// Default is the value when nothing matches, with variables; empty unless written.
	Default string
	Entries []MapEntry
	// Hostnames says that entries may be *.x, .x and x.* masks.
	Hostnames bool
	// Volatile says that the value is not kept for the rest of the request.
	Volatile bool

	// Geo is set for a geo, Split for a split_clients; then nothing between Name and here is.
	Geo   *Geo
	Split []SplitShare
}

// MapEntry is one line of a map.
type MapEntry struct {
	Position
	// Pattern is the string or hostname mask to compare with, without the escaping
	// backslash; for a regex, the regex with its "~" or "~*".
	Pattern string
	// Regexp is the pattern for package regexp; empty for strings and masks.
	Regexp string
	// Value may contain variables.
	Value string
}
