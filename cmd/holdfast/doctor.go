package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"holdfast/config"
	"holdfast/doctor"
	"holdfast/engine"
)

// doctorForm are the flags of the doctor command.
type doctorForm struct {
	tunnels int64
	pid     int
	asJSON  bool
	write   string
	root    fs.FS // where /proc and /sys are; the machine's own but in tests
	cores   func() int
}

func newDoctor(src *source, io streams) *cobra.Command {
	form := &doctorForm{root: os.DirFS("/"), cores: engine.Cores}
	return form.command(src, io)
}

func (form *doctorForm) command(src *source, io streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Say how many tunnels this machine holds, what limits them, and what to change",
		Long: "doctor compares what idle tunnels cost with what this machine and the configuration allow. It changes\n" +
			"nothing. Without -c or -p it reads " + defaultConf + " if that is there.\n\n" +
			"With --tunnels it exits with 1 if they do not fit; warnings are no failure.",
		Example: "  holdfast doctor\n" +
			"  holdfast doctor -c nginx.conf --tunnels 500000\n" +
			"  holdfast doctor --tunnels 500000 --write 90-holdfast.conf",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return form.run(*src, io) },
	}
	flags := cmd.Flags()
	flags.Int64Var(&form.tunnels, "tunnels", 0, "how many idle tunnels it should hold")
	flags.IntVar(&form.pid, "pid", 0, "use the limits of this process instead of the shell's")
	flags.BoolVar(&form.asJSON, "json", false, "print the report as JSON")
	flags.StringVar(&form.write, "write", "", "write the sysctl settings to this file, which must end in .conf")
	_ = cmd.MarkFlagFilename("write", "conf")
	return cmd
}

func (form *doctorForm) run(src source, io streams) error {
	if form.tunnels < 0 || form.tunnels > tunnelsMost {
		return fmt.Errorf("--tunnels takes a number from 1 to %d", tunnelsMost)
	}
	if form.write != "" && !strings.HasSuffix(form.write, ".conf") {
		return errors.New("--write takes a file that ends in .conf, as sysctl.d wants it")
	}
	setup, err := form.setup(src, io)
	if err != nil {
		return err
	}
	process := "self"
	if form.pid > 0 {
		process = strconv.Itoa(form.pid)
	}
	facts, err := doctor.Read(form.root, process)
	if err != nil {
		return err
	}
	facts.Cores = form.cores()
	report := doctor.Examine(facts, setup, form.tunnels)
	if form.write != "" {
		if err := writeSysctl(form.write, &report); err != nil {
			return err
		}
		fmt.Fprintf(io.err, "wrote %s\n", form.write)
	}
	if form.asJSON {
		text := json.NewEncoder(io.out)
		text.SetIndent("", "  ")
		err = text.Encode(report)
	} else {
		err = report.WriteText(io.out)
	}
	if err == nil && !report.Fits {
		return errSaid
	}
	return err
}

// tunnelsMost is more than one machine can hold; the formulas are exact far beyond it.
const tunnelsMost = 1_000_000_000

// setup reads the configuration, or does without one.
func (form *doctorForm) setup(src source, io streams) (doctor.Setup, error) {
	if src.file == "" && src.prefix == "" && !exists(defaultConf) {
		return form.bareSetup(), nil
	}
	cfg, err := src.loaded(io)
	if err != nil {
		return doctor.Setup{}, err
	}
	s := setupOf(engine.SizingOf(cfg))
	s.Path = src.path()
	return s, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// bareSetup is for a machine without a configuration: one listener, a shard for each
// core, and nothing known about upstream servers.
func (form *doctorForm) bareSetup() doctor.Setup {
	cfg := &config.Config{Main: config.Main{WorkerProcesses: form.cores()}}
	cfg.HTTP.Settings.Proxy.SocketKeepalive = true
	cfg.HTTP.Listeners = []*config.Listener{{}}
	s := setupOf(engine.SizingOf(cfg))
	s.Backlog, s.Ports, s.Upstreams = 0, nil, nil
	return s
}

func setupOf(s engine.Sizing) doctor.Setup {
	setup := doctor.Setup{
		Shards: s.Shards, PerShard: s.SessionsMax, Asked: int64(s.FilesAsked), InFlight: s.InFlightMax,
		Pipes: s.Shards * s.PipesMax, Backlog: s.Backlog, Ports: s.Ports, TLS: s.TLS, Variables: s.Variables,
		KeepaliveDown: s.KeepaliveDown, KeepaliveUp: s.KeepaliveUp, Files: s.Descriptors,
	}
	for _, u := range s.Upstreams {
		setup.Upstreams = append(setup.Upstreams, doctor.Upstream(u))
	}
	return setup
}

// writeSysctl writes the report's settings. A file that somebody else wrote stays.
func writeSysctl(path string, report *doctor.Report) error {
	old, err := os.ReadFile(path)
	if err == nil && !bytes.HasPrefix(old, []byte(doctor.SysctlHead)) {
		return fmt.Errorf("%s is there already and was not written by doctor; choose another name", path)
	}
	var text bytes.Buffer
	if err := report.WriteSysctl(&text); err != nil {
		return err
	}
	return os.WriteFile(path, text.Bytes(), 0o644)
}
