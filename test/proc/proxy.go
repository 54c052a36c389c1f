package proc

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"holdfast/test/port"
)

// Kind is which proxy a test runs against.
type Kind string

// The proxies. Nginx is there to prove that a test expects what nginx does.
const (
	Holdfast Kind = "holdfast"
	Nginx    Kind = "nginx"
)

// Spec describes a proxy to start.
type Spec struct {
	// HTTP is the contents of the http block, in nginx's language. In it {{name}} stands
	// for Vars["name"], {{port:name}} for a free port, the same for the same name, and
	// {{dir}} for the proxy's own folder.
	HTTP string
	// Main is put into the main context, with the same placeholders.
	Main string
	// Events is put into the events block.
	Events string
	// Vars are the values of the placeholders, for instance the backends' addresses.
	Vars map[string]string
	// Connections is worker_connections; zero means 4096.
	Connections int
	// Workers is worker_processes; zero means 2.
	Workers int
	// User runs the proxy as somebody else; nil keeps the caller.
	User *syscall.Credential
}

// Proxy is a running proxy under test.
type Proxy struct {
	*Process
	Kind Kind
	// Dir is the prefix: it holds the configuration, the pid file and logs/.
	Dir string

	ports    map[string]string
	baseline baseline
	stopped  bool
	// tolerated are texts whose lines a test provokes on purpose.
	tolerated []string
}

// startAttempts is how often Start picks new ports when somebody else took one.
const startAttempts = 4

var errPortTaken = errors.New("a port was taken by somebody else")

// Start starts a proxy and stops it with the test, which then fails if anything leaked,
// if something alarming was logged, or if the exit was not clean. Nginx is skipped where
// it is not installed.
func Start(t testing.TB, kind Kind, spec Spec) *Proxy {
	t.Helper()
	path := executable(t, kind)
	dir, err := os.MkdirTemp("", "holdfast-test-")
	if err != nil {
		t.Fatal(err)
	}
	if err := prepare(dir, spec.User); err != nil {
		t.Fatal(err)
	}
	p := &Proxy{Kind: kind, Dir: dir}
	for attempt := 1; ; attempt++ {
		err = p.launch(path, spec)
		if err == nil {
			break
		}
		if !errors.Is(err, errPortTaken) || attempt == startAttempts {
			t.Fatalf("%s does not start: %v\n%s", kind, err, p.logs())
		}
	}
	t.Cleanup(func() { p.finish(t) })
	p.takeBaseline(t)
	return p
}

// executable finds the program of a kind.
func executable(t testing.TB, kind Kind) string {
	t.Helper()
	if kind == Holdfast {
		return Binary(t)
	}
	path, err := exec.LookPath(string(kind))
	if err != nil {
		Skip(t, string(kind)+" is not on PATH")
	}
	return path
}

func prepare(dir string, user *syscall.Credential) error {
	logs := filepath.Join(dir, "logs")
	if err := os.Mkdir(logs, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	if user == nil {
		return nil
	}
	return errors.Join(os.Chown(dir, int(user.Uid), int(user.Gid)), os.Chown(logs, int(user.Uid), int(user.Gid)))
}

func (p *Proxy) launch(path string, spec Spec) error {
	conf := filepath.Join(p.Dir, "nginx.conf")
	p.ports = map[string]string{}
	text, err := p.render(spec)
	if err != nil {
		return err
	}
	if err := os.WriteFile(conf, []byte(text), 0o644); err != nil {
		return err
	}
	args := []string{"-c", conf, "-p", p.Dir + "/"}
	orphan := syscall.SIGTERM // the master takes its workers along
	if p.Kind == Holdfast {
		args = append([]string{"run"}, args...)
		orphan = syscall.SIGKILL
	}
	p.Process, err = Launch(Command{
		Path: path, Args: args, Dir: p.Dir, Output: p.output(), User: spec.User, OrphanSignal: orphan,
	})
	if err != nil {
		return err
	}
	err = Poll(Patience, func() error {
		if p.Ended() {
			return nil
		}
		pid, err := os.ReadFile(filepath.Join(p.Dir, "proxy.pid"))
		if err == nil && len(pid) == 0 {
			err = errors.New("pid file is empty")
		}
		return err
	})
	if !p.Ended() {
		if err != nil {
			p.Kill()
			return fmt.Errorf("no pid file: %w", err)
		}
		return nil
	}
	if strings.Contains(strings.ToLower(p.logs()), "address already in use") {
		return errPortTaken
	}
	return errors.New("it ended at once")
}

var placeholder = regexp.MustCompile(`\{\{([a-z]+:)?([A-Za-z0-9_]+)\}\}`)

// render writes the whole configuration and picks its ports.
func (p *Proxy) render(spec Spec) (string, error) {
	connections := spec.Connections
	if connections == 0 {
		connections = 4096
	}
	var text strings.Builder
	fmt.Fprintf(&text, "worker_processes %d;\n", cmp.Or(spec.Workers, 2))
	text.WriteString("pid proxy.pid;\nerror_log logs/error.log info;\n")
	if p.Kind == Holdfast {
		text.WriteString("admin 127.0.0.1:{{port:admin}};\n")
	} else {
		text.WriteString("daemon off;\n")
		if os.Geteuid() == 0 && spec.User == nil {
			text.WriteString("user root;\n") // its workers must reach unix sockets of the test
		}
	}
	fmt.Fprintf(&text, "%s\nevents { worker_connections %d; %s }\nhttp {\n", spec.Main, connections, spec.Events)
	text.WriteString("access_log logs/access.log;\n")
	if p.Kind == Nginx {
		for _, name := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
			text.WriteString(name + "_temp_path " + name + "_temp;\n")
		}
	}
	text.WriteString(spec.HTTP + "\n}\n")
	var failed error
	out := placeholder.ReplaceAllStringFunc(text.String(), func(match string) string {
		value, err := p.value(match, spec)
		if err != nil {
			failed = err
		}
		return value
	})
	return out, failed
}

func (p *Proxy) value(match string, spec Spec) (string, error) {
	words := placeholder.FindStringSubmatch(match)
	kind, name := words[1], words[2]
	if value, ok := spec.Vars[name]; ok && kind == "" {
		return value, nil
	}
	if kind == "" && name == "dir" {
		return p.Dir, nil
	}
	if kind != "port:" {
		return "", fmt.Errorf("unknown placeholder %s", match)
	}
	if p.ports[name] == "" {
		free, err := port.Free()
		if err != nil {
			return "", err
		}
		p.ports[name] = strconv.Itoa(free)
	}
	return p.ports[name], nil
}

// Port is the port picked for {{port:name}}.
func (p *Proxy) Port(name string) string { return p.ports[name] }

// Addr is 127.0.0.1 with the port picked for {{port:name}}.
func (p *Proxy) Addr(name string) string { return "127.0.0.1:" + p.ports[name] }

// Front is Addr("front"), the name most tests use.
func (p *Proxy) Front() string { return p.Addr("front") }

// Admin is the address of a holdfast's admin listener.
func (p *Proxy) Admin() string { return p.Addr("admin") }

// ErrorLog is the error log so far.
func (p *Proxy) ErrorLog() string { return p.read("logs/error.log") }

// AccessLog is the access log so far.
func (p *Proxy) AccessLog() string { return p.read("logs/access.log") }

func (p *Proxy) output() string { return filepath.Join(p.Dir, "output.log") }

func (p *Proxy) read(name string) string {
	text, err := os.ReadFile(filepath.Join(p.Dir, name))
	if err != nil {
		return ""
	}
	return string(text)
}

// logs is what the proxy has said, for a failure report.
func (p *Proxy) logs() string {
	const most = 8 << 10
	var all strings.Builder
	for _, name := range []string{"output.log", "logs/error.log"} {
		text := p.read(name)
		if len(text) > most {
			text = "…" + text[len(text)-most:]
		}
		fmt.Fprintf(&all, "--- %s\n%s", name, text)
	}
	return all.String()
}
