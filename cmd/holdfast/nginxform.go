package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// nginxForm is the command line without a command, as nginx takes it.
type nginxForm struct {
	source *source
	io     streams

	test, testDump bool
	quiet          bool
	signal         string
	short, long    bool
}

func (f *nginxForm) addFlags(flags *pflag.FlagSet) {
	flags.BoolVarP(&f.test, "test", "t", false, "test the configuration and exit")
	flags.BoolVarP(&f.testDump, "test-dump", "T", false, "test the configuration, print it and exit")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "with -t: print problems only")
	flags.StringVarP(&f.signal, "signal", "s", "",
		"tell the running holdfast: stop, quit, reopen or reload")
	flags.BoolVarP(&f.short, "version", "v", false, "print the version and exit")
	flags.BoolVarP(&f.long, "build", "V", false, "print the version and how it was built, and exit")
}

func (f *nginxForm) run(cmd *cobra.Command) error {
	switch {
	case f.long:
		fmt.Fprintf(f.io.err, "holdfast version: %s\n%s", versionText(), buildText())
		return nil
	case f.short:
		fmt.Fprintf(f.io.err, "holdfast version: %s\n", versionText())
		return nil
	case f.test || f.testDump:
		return f.testConf()
	case f.signal != "":
		return f.sendSignal()
	case !cmd.Flags().Changed("conf") && !cmd.Flags().Changed("prefix"):
		return cmd.Help()
	}
	return serve(cmd.Context(), *f.source, f.io)
}

// testConf says what `nginx -t` says, in the words that scripts look for.
func (f *nginxForm) testConf() error {
	cfg, problems := f.source.load()
	for _, p := range problems {
		fmt.Fprintln(f.io.err, p)
	}
	path := f.source.path()
	if cfg == nil {
		fmt.Fprintf(f.io.err, "holdfast: configuration file %s test failed\n", path)
		return errSaid
	}
	if !f.quiet {
		fmt.Fprintf(f.io.err, "holdfast: the configuration file %s syntax is ok\n", path)
		fmt.Fprintf(f.io.err, "holdfast: configuration file %s test is successful\n", path)
	}
	if f.testDump {
		for _, file := range cfg.Files {
			fmt.Fprintf(f.io.out, "# configuration file %s:\n%s\n", file.Name, file.Text)
		}
	}
	return nil
}

func (f *nginxForm) sendSignal() error {
	switch f.signal {
	case "stop":
		return signalByPID(*f.source, f.io, fastStop)
	case "quit":
		return signalByPID(*f.source, f.io, gracefulStop)
	case "reopen":
		return signalByPID(*f.source, f.io, reopenLogs)
	case "reload":
		return reload(*f.source, f.io, reloadWait)
	}
	return fmt.Errorf("-s %s is unknown; use stop, quit, reopen or reload", f.signal)
}
