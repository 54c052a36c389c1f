package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"holdfast/config"
	"holdfast/engine"
)

// defaultConf is read when neither -c nor -p is given.
const defaultConf = "/etc/holdfast/nginx.conf"

// source says which configuration a command works on, in nginx's words.
type source struct {
	file    string // -c
	prefix  string // -p
	globals string // -g
}

// path is the configuration file. As in nginx a relative -c is looked up below
// -p when that is given, and PREFIX/conf/nginx.conf is the file when -c is not.
func (s source) path() string {
	switch {
	case s.file == "" && s.prefix == "":
		return defaultConf
	case s.file == "":
		return filepath.Join(s.prefix, "conf", "nginx.conf")
	case filepath.IsAbs(s.file) || s.prefix == "":
		return s.file
	}
	return filepath.Join(s.prefix, s.file)
}

// load reads the configuration; problems are all there are, cfg is nil if one of
// them is an error.
func (s source) load() (cfg *config.Config, problems []config.Problem) {
	cfg, problems = s.read()
	if cfg == nil {
		return nil, problems
	}
	more := engine.Check(cfg)
	if config.HasErrors(more) {
		cfg = nil
	}
	return cfg, append(problems, more...)
}

// read is load without what only compiling shows.
func (s source) read() (cfg *config.Config, problems []config.Problem) {
	return config.Load(s.path(), config.Options{
		Prefix: s.prefix, Globals: s.globals, CheckText: engine.CheckText, CheckStreamText: engine.CheckStreamText,
	})
}

// loaded is load for commands that only need to look something up in it.
func (s source) loaded(io streams) (*config.Config, error) {
	cfg, problems := s.load()
	if cfg == nil {
		for _, p := range problems {
			fmt.Fprintln(io.err, p)
		}
		return nil, errSaid
	}
	return cfg, nil
}

func newRoot(io streams) *cobra.Command {
	src := &source{}
	form := &nginxForm{source: src, io: io}
	root := &cobra.Command{
		Use:   "holdfast",
		Short: "holdfast holds idle WebSockets cheaply and reads nginx.conf",
		Long: "holdfast is an edge proxy that holds idle WebSockets cheaply and reads nginx.conf.\n\n" +
			"nginx's own form works too: holdfast -c FILE [-p PREFIX] [-g DIRECTIVES] [-t|-T] " +
			"[-s stop|quit|reopen|reload] [-v|-V]",
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return form.run(cmd) },
	}
	root.SetOut(io.out)
	root.SetErr(io.err)
	root.CompletionOptions.DisableDefaultCmd = true
	flags := root.PersistentFlags()
	flags.StringVarP(&src.file, "conf", "c", "", "configuration file (default "+defaultConf+")")
	flags.StringVarP(&src.prefix, "prefix", "p", "", "folder that relative paths start from (default "+
		config.DefaultPrefix+")")
	flags.StringVarP(&src.globals, "global", "g", "", "directives of the main context, set before the file")
	form.addFlags(root.Flags())
	root.AddCommand(
		newRun(src, io), newCheck(src, io), newDemo(io), newStop(src, io), newReload(src, io),
		newStatus(src, io), newDoctor(src, io),
		newDirectives(io), newVersion(io))
	return root
}

func newVersion(io streams) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  cobra.NoArgs,
		Run:   func(*cobra.Command, []string) { fmt.Fprintln(io.out, versionText()) },
	}
}
