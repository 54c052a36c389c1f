package config

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// DefaultPrefix is the folder that relative paths of logs, pid file and root are
// joined to when no prefix is given (-p).
const DefaultPrefix = "/var/lib/holdfast"

// Limits of what the default hooks of Options do.
const (
	fileBytesMax   = 64 << 20
	resolveTimeout = 10 * time.Second
)

// commandLine is the File of positions in Options.Globals.
const commandLine = "command line"

// Options are what a load may be told. The zero value reads files, resolves names
// and asks for the user as the process would.
type Options struct {
	// Prefix replaces DefaultPrefix (-p).
	Prefix string
	// Globals are directives of the main context, read before the file (-g).
	Globals string
	// ReadFile replaces os.ReadFile.
	ReadFile func(path string) ([]byte, error)
	// Glob replaces filepath.Glob.
	Glob func(pattern string) ([]string, error)
	// Resolve turns a host name into its addresses. It replaces the system's resolver.
	Resolve func(host string) ([]netip.Addr, error)
	// Geteuid replaces os.Geteuid: 0 may change its user and bind low ports.
	Geteuid func() int
	// CheckText, if set, is called once with the names (without "$") of all map
	// variables and named captures; the function it returns is then called for each
	// text with variables and says what is wrong with it, for example an unknown
	// variable.
	CheckText func(names []string) func(text string) error
	// CheckStreamText is CheckText for the stream context.
	CheckStreamText func(names []string) func(text string) error
}

// Load reads the configuration file at path and everything it includes.
//
// All problems are returned at once, in the order of files and lines. The Config
// is nil if any of them is an Error.
func Load(path string, opt Options) (*Config, []Problem) {
	l := newLoader(opt)
	text, err := l.opt.ReadFile(path)
	if err != nil {
		return nil, []Problem{{
			File: path, Severity: Error, Text: "cannot be read: " + err.Error(),
			Hint: "give the configuration file with -c FILE",
		}}
	}
	return l.load(path, string(text))
}

// LoadText is Load for a text that is no file; name stands for its file's name in
// positions, and relative includes are looked up beside it.
func LoadText(name, text string, opt Options) (*Config, []Problem) {
	return newLoader(opt).load(name, text)
}

// loader is the state of one load.
type loader struct {
	report
	opt     Options
	index   directiveIndex
	cfg     *Config
	confDir string
	files   []SourceFile

	// broken holds the files with a syntax error: their statements behind it are
	// missing, so nothing may be concluded from an absence.
	broken    map[string]bool
	brokenAny bool

	*scope
	bothContexts
	resolved  map[string][]netip.Addr
	listensOf []serverListens
	resolvers []*node
	// resolvings are the upstream blocks with resolve.
	resolvings []resolving
	// variablePass is the first proxy_pass with variables.
	variablePass *ProxyPass
	// refusedIn holds the servers with refused statements: of them nothing may be
	// concluded from an absence either.
	refusedIn map[*Server]bool
}

func newLoader(opt Options) *loader {
	if opt.ReadFile == nil {
		opt.ReadFile = readFile
	}
	if opt.Glob == nil {
		opt.Glob = filepath.Glob
	}
	if opt.Resolve == nil {
		opt.Resolve = resolve
	}
	if opt.Geteuid == nil {
		opt.Geteuid = os.Geteuid
	}
	l := &loader{
		report:    report{known: map[Problem]bool{}, warned: map[string]bool{}},
		opt:       opt,
		index:     newDirectiveIndex(),
		cfg:       &Config{},
		broken:    map[string]bool{},
		resolved:  map[string][]netip.Addr{},
		refusedIn: map[*Server]bool{},

		bothContexts: bothContexts{http: newScope(), stream: newScope()},
	}
	l.scope = &l.http
	return l
}

func (l *loader) load(name, text string) (*Config, []Problem) {
	l.confDir = filepath.Dir(name)
	prefix, err := filepath.Abs(cmp.Or(l.opt.Prefix, DefaultPrefix))
	if err != nil {
		l.errorf(Position{File: name}, "prefix %q: %v", l.opt.Prefix, err)
	}
	l.cfg.Main.Prefix = prefix
	l.defineFormat(combinedFormat())

	p := &parser{loader: l}
	var nodes []*node
	if l.opt.Globals != "" {
		nodes = p.text(commandLine, l.opt.Globals)
	}
	nodes = append(nodes, p.text(name, text)...)

	set := defaultSettings()
	set.AccessLogs = []AccessLog{{LogTarget: LogTarget{Path: l.path("logs/access.log")}, Format: l.formats["combined"]}}
	set.Files.Root.Path = l.folder("html")
	l.cfg.Events.WorkerConnections = 512
	l.cfg.Main.WorkerProcesses = 1
	main := &level{loader: l, ctx: CtxMain, set: &set}
	main.walk(nodes)
	l.finish()

	problems := l.sorted(l.files)
	if HasErrors(problems) {
		return nil, problems
	}
	return l.cfg, problems
}

// finish fills in what depends on the whole, and judges what only the whole shows.
func (l *loader) finish() {
	m := &l.cfg.Main
	if len(m.ErrorLogs) == 0 {
		m.ErrorLogs = []ErrorLog{{Path: l.path("logs/error.log"), Level: LevelError}}
	}
	if m.PID == "" {
		m.PID = l.path("logs/holdfast.pid")
	}
	l.cfg.Files = l.files
	l.closeScopes()
	if l.brokenAny {
		return
	}
	l.buildListeners()
	l.checkSteering()
	l.checkSSL()
	l.checkNamed()
	l.checkResolvers()
	l.checkLimits()
	l.checkReferers()
	l.checkTexts(&l.http, l.opt.CheckText)
	l.checkTexts(&l.stream, l.opt.CheckStreamText)
}

// path joins a relative path of a log or pid file to the prefix.
func (l *loader) path(p string) string {
	if filepath.IsAbs(p) {
		return filepath.Clean(p)
	}
	return filepath.Join(l.cfg.Main.Prefix, p)
}

func sortedKeys(set map[string]bool) []string {
	keys := make([]string, 0, len(set))
	for k := range set {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// readFile is os.ReadFile with a limit, so that a device or a runaway file ends
// in an error.
func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, errors.Unwrap(err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, fileBytesMax+1))
	if err != nil {
		return nil, err
	}
	if len(text) > fileBytesMax {
		return nil, fmt.Errorf("larger than %d MiB", fileBytesMax>>20)
	}
	return text, nil
}

func resolve(host string) ([]netip.Addr, error) {
	ctx, cancel := context.WithTimeout(context.Background(), resolveTimeout)
	defer cancel()
	return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
}
