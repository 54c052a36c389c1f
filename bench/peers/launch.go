package peers

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"holdfast/test/proc"
)

// Launch says how to start a proxy with a configuration, in a folder of its own.
type Launch struct {
	Kind   Kind
	Binary string // see Options
	// Configuration is its text. Where it names files, they are relative to its folder.
	Configuration string
	// Files are written beside the configuration, by name.
	Files map[string][]byte
	// Args stand in place of those that name the configuration.
	Args []string
	// Master starts HAProxy in master-worker mode, the one that can reload.
	Master bool
	// Ready is nil once the proxy can be used; until then it is called again and again.
	// Without it Start does not wait.
	Ready func() error
}

// Running is a proxy that was started.
type Running struct {
	kind    Kind
	process *proc.Process
	dir     string
}

// Start starts the proxy and waits until it is ready. Stop it in the end. The error says
// what the proxy has said.
func (l Launch) Start() (*Running, error) {
	path, err := Path(l.Kind, l.Binary)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "holdfast-bench-")
	if err != nil {
		return nil, err
	}
	r := &Running{kind: l.Kind, dir: dir}
	if err := r.start(path, l); err != nil {
		err = fmt.Errorf("%s: %w\n%s", l.Kind, err, r.Output())
		r.Stop()
		return nil, err
	}
	return r, nil
}

func (r *Running) start(path string, l Launch) error {
	args, err := r.configure(l)
	if err != nil {
		return err
	}
	r.process, err = proc.Launch(proc.Command{
		Path: path, Args: args, Dir: r.dir, Output: filepath.Join(r.dir, "output.log"), OrphanSignal: syscall.SIGTERM,
	})
	if err != nil || l.Ready == nil {
		return err
	}
	err = proc.Poll(proc.Patience, func() error {
		if r.process.Ended() {
			return nil
		}
		return l.Ready()
	})
	if r.process.Ended() {
		return fmt.Errorf("it ended at once, %s", r.Fate())
	}
	return err
}

// configure writes the files and returns the arguments that name the configuration.
func (r *Running) configure(l Launch) (args []string, err error) {
	name := string(l.Kind) + ".conf"
	if l.Kind == HAProxy || l.Kind == HAProxySplice {
		name = "haproxy.cfg"
	}
	conf := filepath.Join(r.dir, name)
	err = errors.Join(os.Mkdir(filepath.Join(r.dir, "logs"), 0o755), os.WriteFile(conf, []byte(l.Configuration), 0o644))
	for name, text := range l.Files {
		err = errors.Join(err, os.WriteFile(filepath.Join(r.dir, name), text, 0o644))
	}
	switch {
	case l.Args != nil:
		args = l.Args
	case l.Kind == Holdfast:
		args = []string{"run", "-c", conf, "-p", r.dir + "/"}
	case l.Kind == Nginx:
		args = []string{"-c", conf, "-p", r.dir + "/"}
	case l.Master:
		args = []string{"-W", "-f", conf}
	default:
		args = []string{"-db", "-f", conf}
	}
	return args, err
}

// Accepts is a Launch.Ready that connects.
func Accepts(address string) func() error {
	return func() error {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err
	}
}

// PID is the process id of its first process.
func (r *Running) PID() int { return r.process.PID() }

// Ended tells whether its first process has ended.
func (r *Running) Ended() bool { return r.process.Ended() }

// Fate says how a process that has ended did: its exit code, -1 for a death by a signal.
func (r *Running) Fate() string {
	code, err := r.process.Exit(time.Second)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("exit code %d", code)
}

// Output is what it has said, on its standard output and in its error log.
func (r *Running) Output() string {
	text, _ := os.ReadFile(filepath.Join(r.dir, "output.log"))
	log, _ := os.ReadFile(filepath.Join(r.dir, "logs", "error.log"))
	return strings.ReplaceAll(string(text)+string(log), r.dir, ".")
}

// stopPatience is how long a proxy may take to end by itself.
const stopPatience = 5 * time.Second

// Stop ends the proxy and removes its files.
func (r *Running) Stop() {
	r.AskToStop()
	r.Finish()
}

// Finish waits for the end of a proxy that was asked to stop, and removes its files.
func (r *Running) Finish() {
	if r.process != nil {
		_, _ = r.process.Exit(stopPatience)
	}
	r.Kill()
}

// AskToStop sends SIGTERM, and Finish must follow.
func (r *Running) AskToStop() {
	if r.process != nil {
		_ = r.process.Signal(syscall.SIGTERM)
	}
}

// Kill ends the proxy at once and removes its files.
func (r *Running) Kill() {
	if r.process != nil {
		r.process.Kill()
	}
	_ = os.RemoveAll(r.dir)
}
