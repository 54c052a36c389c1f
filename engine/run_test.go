package engine

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"holdfast/config"
)

// child is a process of this test's own binary that runs a configuration.
type child struct {
	cmd    *exec.Cmd
	dir    string // DIR in its configuration
	front  string // its listen address
	stderr *output
	ended  chan struct{}
	code   int // after ended
}

// output keeps what a process writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// fill replaces DIR and FRONT in a configuration.
func fill(text, dir, front string) string {
	return strings.NewReplacer("DIR", dir, "FRONT", front).Replace(text)
}

// launch starts a process in a folder of its own and does not wait.
func launch(t *testing.T, dir, text string) *child {
	t.Helper()
	c := &child{dir: dir, front: freeAddress(t).String(), stderr: &output{}, ended: make(chan struct{})}
	path := filepath.Join(dir, "nginx.conf")
	must(t, os.WriteFile(path, []byte(fill(text, dir, c.front)), 0o644))
	c.cmd = exec.Command(os.Args[0])
	c.cmd.Env = append(os.Environ(), runConf+"="+path)
	c.cmd.Stderr = c.stderr
	begin(t, c.cmd)
	go func() {
		_ = c.cmd.Wait()
		c.code = c.cmd.ProcessState.ExitCode()
		close(c.ended)
	}()
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill()
		<-c.ended
		if t.Failed() {
			t.Logf("the process wrote:\n%s", c.stderr)
		}
	})
	return c
}

// begin starts this binary anew, which only an emulator of another machine refuses.
func begin(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	err := cmd.Start()
	if errors.Is(err, syscall.ENOEXEC) {
		t.Skip("this binary is for another machine, and its emulator does not start processes")
	}
	must(t, err)
}

// start is launch for a configuration that runs, and returns once it does.
func start(t *testing.T, text string) *child {
	t.Helper()
	c := launch(t, worldDir(t), "worker_processes 1;\npid DIR/run/holdfast.pid;\n"+text)
	until(t, "the pid file", func() bool {
		select {
		case <-c.ended:
			t.Fatalf("it ended with code %d", c.code)
		default:
		}
		return read(c.dir+"/run/holdfast.pid") == fmt.Sprintln(c.cmd.Process.Pid)
	})
	return c
}

// worldDir is a folder that another user may enter.
func worldDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "holdfast-engine-")
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	must(t, os.Chmod(dir, 0o755))
	return dir
}

func read(path string) string {
	text, _ := os.ReadFile(path)
	return string(text)
}

func (c *child) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	must(t, c.cmd.Process.Signal(s))
}

// end waits for the end and checks the exit code.
func (c *child) end(t *testing.T, code int) {
	t.Helper()
	select {
	case <-c.ended:
	case <-time.After(patience):
		t.Fatal("the process does not end")
	}
	if c.code != code {
		t.Errorf("exit code %d, want %d", c.code, code)
	}
}

func (c *child) alive(t *testing.T) {
	t.Helper()
	select {
	case <-c.ended:
		t.Fatalf("the process has ended with code %d", c.code)
	default:
	}
}

// get asks the front, or a unix socket, and returns status and body.
func (c *child) get(t *testing.T, network, address, path string) (int, string) {
	t.Helper()
	client := &http.Client{Timeout: patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, address)
		},
	}}
	resp, err := client.Get("http://localhost" + path)
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, string(body)
}

const plainConf = "error_log DIR/logs/error.log notice;\nevents { worker_connections 64; }\n" +
	"http { access_log DIR/logs/access.log; server { listen FRONT; location / { return 200 hi; } } }\n"

func TestStartAndStop(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT} {
		t.Run(s.String(), func(t *testing.T) {
			c := start(t, "admin unix:DIR/admin.sock;\n"+strings.Replace(plainConf, "FRONT;", "FRONT; listen unix:DIR/front.sock;", 1))
			for _, at := range []struct{ network, address string }{{"tcp", c.front}, {"unix", c.dir + "/front.sock"}} {
				if status, body := c.get(t, at.network, at.address, "/"); status != 200 || body != "hi" {
					t.Errorf("%s: %d %q", at.address, status, body)
				}
			}
			if status, body := c.get(t, "unix", c.dir+"/admin.sock", "/status"); status != 200 ||
				!strings.Contains(body, fmt.Sprintf(`"pid": %d,`, c.cmd.Process.Pid)) {
				t.Errorf("/status: %d %.100q", status, body)
			}
			info, err := os.Stat(c.dir + "/admin.sock")
			must(t, err)
			if info.Mode().Perm() != 0o600 {
				t.Errorf("the admin socket's mode is %v", info.Mode())
			}
			c.signal(t, s)
			c.end(t, 0)
			for _, name := range []string{"run/holdfast.pid", "front.sock", "admin.sock"} {
				if _, err := os.Lstat(filepath.Join(c.dir, name)); !os.IsNotExist(err) {
					t.Errorf("%s is left behind: %v", name, err)
				}
			}
			if n := strings.Count(read(c.dir+"/logs/access.log"), "GET / HTTP/1.1"); n != 2 {
				t.Errorf("%d lines in the access log, want 2", n)
			}
			if !strings.Contains(c.stderr.String(), "holdfast test: 1 shards, 64 sessions at most, ") {
				t.Errorf("no line of the budget in %q", c.stderr)
			}
		})
	}
}

func TestAdminOverTCP(t *testing.T) {
	admin := freeAddress(t).String()
	c := start(t, "admin "+admin+";\n"+plainConf)
	for path, want := range map[string]string{"/readyz": "ready", "/metrics": "holdfast_tunnels"} {
		if status, body := c.get(t, "tcp", admin, path); status != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d %.200q", path, status, body)
		}
	}
	second := launch(t, worldDir(t), "admin "+admin+";\npid DIR/x.pid;\n"+plainConf)
	second.end(t, 1)
	for _, want := range []string{"admin " + admin, fmt.Sprintf("(pid %d) listens there", c.cmd.Process.Pid)} {
		if !strings.Contains(second.stderr.String(), want) {
			t.Errorf("stderr does not say %q: %s", want, second.stderr)
		}
	}
}

// A tunnel that is open lives on after QUIT, and the process ends with it.
func TestQuitWaitsForTunnels(t *testing.T) {
	backend := echoBackend(t)
	c := start(t, "admin unix:DIR/admin.sock;\nerror_log stderr;\nevents {}\nhttp { access_log off; server { listen FRONT; "+
		"location / { proxy_pass http://"+backend+"; } } }")
	tunnel := dial(t, c.front)
	reader := upgrade(t, tunnel)
	c.signal(t, syscall.SIGQUIT)
	until(t, "the front to close", func() bool {
		probe, err := net.Dial("tcp", c.front)
		if err == nil {
			probe.Close()
		}
		return err != nil
	})
	if status, body := c.get(t, "unix", c.dir+"/admin.sock", "/readyz"); status != 503 || body != "draining\n" {
		t.Errorf("/readyz while draining: %d %q", status, body)
	}
	c.alive(t)
	echo(t, tunnel, reader, "still here")
	tunnel.Close()
	c.end(t, 0)
}

func TestTermAfterQuit(t *testing.T) {
	backend := echoBackend(t)
	c := start(t, "error_log stderr;\nevents {}\nhttp { access_log off; server { listen FRONT; location / { proxy_pass http://"+backend+"; } } }")
	tunnel := dial(t, c.front)
	reader := upgrade(t, tunnel)
	c.signal(t, syscall.SIGQUIT)
	c.signal(t, syscall.SIGTERM)
	c.end(t, 0)
	if _, err := reader.ReadByte(); err == nil {
		t.Error("the tunnel gave a byte at its end")
	}
}

// echoBackend accepts upgrades and gives back every byte behind them.
func echoBackend(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer conn.Close()
				r := bufio.NewReader(conn)
				req, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: %s\r\nConnection: upgrade\r\n"+
					"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", req.Header.Get("Upgrade"))
				_, _ = io.Copy(conn, r)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		conns.Wait()
	})
	return l.Addr().String()
}

func upgrade(t *testing.T, conn net.Conn) *bufio.Reader {
	t.Helper()
	must(t, conn.SetDeadline(time.Now().Add(patience)))
	_, err := io.WriteString(conn, "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	must(t, err)
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil)
	must(t, err)
	if resp.StatusCode != 101 {
		t.Fatalf("the upgrade was answered by %s", resp.Status)
	}
	return r
}

func echo(t *testing.T, conn net.Conn, r *bufio.Reader, text string) {
	t.Helper()
	_, err := io.WriteString(conn, text)
	must(t, err)
	got := make([]byte, len(text))
	_, err = io.ReadFull(r, got)
	must(t, err)
	if string(got) != text {
		t.Errorf("echo %q, want %q", got, text)
	}
}

func TestReopenLogs(t *testing.T) {
	for _, name := range []string{"same user", "other user"} {
		t.Run(name, func(t *testing.T) {
			user := ""
			if name == "other user" {
				needRoot(t)
				user = "user nobody " + nogroup(t) + ";\n"
			}
			c := start(t, user+plainConf)
			c.get(t, "tcp", c.front, "/before")
			access := c.dir + "/logs/access.log"
			until(t, "the first line", func() bool { return strings.Contains(read(access), "/before") })
			must(t, os.Rename(access, access+".1"))
			c.signal(t, syscall.SIGUSR1)
			until(t, "the new file", func() bool { _, err := os.Stat(access); return err == nil })
			until(t, "a line in it", func() bool { // the file is there before the writer goes over to it
				c.get(t, "tcp", c.front, "/between")
				return strings.Contains(read(access), "/between")
			})
			c.get(t, "tcp", c.front, "/after")
			until(t, "the line in it", func() bool { return strings.Contains(read(access), "/after") })
			if text := read(access + ".1"); strings.Contains(text, "/after") {
				t.Errorf("the old file got the line: %q", text)
			}
			if text := read(c.dir + "/logs/error.log"); strings.Contains(text, "[alert]") {
				t.Errorf("error log: %s", text)
			}
		})
	}
}

func TestSignalsOfLaterVersionsChangeNothing(t *testing.T) {
	c := start(t, plainConf)
	for s, text := range map[syscall.Signal]string{
		syscall.SIGUSR2: "[warn] %d#%d: signal %v: not in this version",
	} {
		c.signal(t, s)
		until(t, "the log to say so", func() bool {
			return strings.Contains(read(c.dir+"/logs/error.log"), fmt.Sprintf(text, c.cmd.Process.Pid, c.cmd.Process.Pid, s))
		})
	}
	if status, _ := c.get(t, "tcp", c.front, "/"); status != 200 {
		t.Errorf("status %d", status)
	}
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can become another user")
	}
}

// nogroup is the name of nobody's group, which is not the same everywhere.
func nogroup(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"nogroup", "nobody"} {
		if strings.Contains("\n"+read("/etc/group"), "\n"+name+":") {
			return name
		}
	}
	t.Skip("neither a group nogroup nor nobody here")
	return ""
}

// Every thread gives up root; what root alone may do is done before.
func TestPrivilegesAreDropped(t *testing.T) {
	needRoot(t)
	locked := t.TempDir() // of root, not to be entered by others
	must(t, os.Chmod(locked, 0o700))
	c := start(t, "user nobody "+nogroup(t)+";\nadmin unix:DIR/admin.sock;\nerror_log "+locked+"/deep/error.log notice;\n"+
		"http { access_log DIR/access.log; server { listen FRONT; location / { return 200 hi; } } }")
	if status, _ := c.get(t, "tcp", c.front, "/"); status != 200 {
		t.Errorf("status %d", status)
	}
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/status", c.cmd.Process.Pid))
	must(t, err)
	if len(tasks) < 3 {
		t.Fatalf("only %d threads found", len(tasks))
	}
	ids := regexp.MustCompile(`(?m)^(Uid|Gid):\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)$`)
	for _, task := range tasks {
		text := read(task)
		if text == "" {
			continue // the thread has ended since
		}
		found := ids.FindAllStringSubmatch(text, -1)
		if len(found) != 2 {
			t.Fatalf("%s: %s", task, text)
		}
		for _, id := range found {
			for _, value := range id[2:] {
				if value == "0" {
					t.Errorf("%s: %v", task, id)
				}
			}
		}
		if regexp.MustCompile(`(?m)^Groups:.*\b0\b`).MatchString(text) || strings.Contains(text, "CapEff:\t000001ff") {
			t.Errorf("%s keeps groups or capabilities of root:\n%s", task, text)
		}
	}
	if status, body := c.get(t, "unix", c.dir+"/admin.sock", "/metrics"); status != 200 ||
		!regexp.MustCompile(`(?m)^process_open_fds [1-9]`).MatchString(body) {
		t.Errorf("metrics as nobody: %d\n%s", status, body)
	}
	until(t, "a line in the error log that root opened", func() bool {
		return strings.Contains(read(locked+"/deep/error.log"), "started: ")
	})
	c.signal(t, syscall.SIGTERM)
	c.end(t, 0)
	if text := read(c.dir + "/run/holdfast.pid"); text != "" {
		t.Errorf("the pid file still says %q", text)
	}
}

// A link that waits in a folder of the later user must not make root give it the file
// that the link points to.
func TestLogsAreNotGivenAwayThroughLinks(t *testing.T) {
	needRoot(t)
	dir := worldDir(t)
	secret := filepath.Join(dir, "secret")
	must(t, os.WriteFile(secret, nil, 0o600))
	owner := &config.User{UID: 65534, GID: 65534}
	link := filepath.Join(dir, "access.log")
	must(t, os.Symlink(secret, link))
	must(t, makeLogFile(link, owner))
	fresh := filepath.Join(dir, "sub", "fresh.log")
	must(t, makeLogFile(fresh, owner))
	for path, want := range map[string]uint32{secret: 0, dir: 0, fresh: 65534, filepath.Dir(fresh): 65534} {
		info, err := os.Stat(path)
		must(t, err)
		if uid := info.Sys().(*syscall.Stat_t).Uid; uid != want {
			t.Errorf("%s belongs to %d, want %d", path, uid, want)
		}
	}
}

func TestSecondInstanceIsRefused(t *testing.T) {
	c := start(t, plainConf)
	second := launch(t, worldDir(t), "pid DIR/x.pid;\n"+strings.Replace(plainConf, "FRONT", c.front, 1))
	second.end(t, 1)
	for _, want := range []string{
		"nginx.conf:4: listen " + c.front + ": address already in use; ",
		fmt.Sprintf("(pid %d) listens there; stop it, or write \"shared\"", c.cmd.Process.Pid),
	} {
		if !strings.Contains(second.stderr.String(), want) {
			t.Errorf("stderr does not say %q: %s", want, second.stderr)
		}
	}
	if _, err := os.Stat(second.dir + "/x.pid"); !os.IsNotExist(err) {
		t.Errorf("a start that failed left its pid file: %v", err)
	}
	if status, _ := c.get(t, "tcp", c.front, "/"); status != 200 {
		t.Errorf("the first answers with %d", status)
	}
}

func TestSeveralErrorLogs(t *testing.T) {
	c := start(t, "error_log DIR/notice.log notice;\nerror_log DIR/error.log error;\nerror_log DIR/error.log crit;\n"+
		"events {}\nhttp { access_log off; server { listen FRONT; location / { proxy_pass http://"+freeAddress(t).String()+"; } } }")
	if status, _ := c.get(t, "tcp", c.front, "/"); status != 502 {
		t.Errorf("status %d", status)
	}
	until(t, "the refusal in both, and a notice in one", func() bool { // in any order: several threads write
		notices := read(c.dir + "/notice.log")
		return strings.Contains(notices, "[error]") && strings.Contains(notices, "[notice]") &&
			strings.Contains(read(c.dir+"/error.log"), "[error]")
	})
	if text := read(c.dir + "/error.log"); strings.Contains(text, "[notice]") || strings.Count(text, "\n") != 1 {
		t.Errorf("error.log: %s", text)
	}
}

func TestTunnelsMinRefusesToStart(t *testing.T) {
	c := launch(t, worldDir(t), "tunnels_min 65;\nworker_processes 1;\n"+plainConf)
	c.end(t, 1)
	if !strings.Contains(c.stderr.String(), "tunnels_min 65 can't be held") {
		t.Errorf("stderr: %s", c.stderr)
	}
}

// Whoever read stderr may go away: that costs lines, not tunnels.
func TestStderrWithoutReader(t *testing.T) {
	r, w, err := os.Pipe()
	must(t, err)
	dir := worldDir(t)
	conf := filepath.Join(dir, "nginx.conf")
	front := freeAddress(t).String()
	text := "pid DIR/x.pid;\nerror_log stderr notice;\nhttp { access_log /dev/stdout; server { listen FRONT; location / { return 200 hi; } } }"
	must(t, os.WriteFile(conf, []byte(fill(text, dir, front)), 0o644))
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), runConf+"="+conf)
	cmd.Stdout, cmd.Stderr = w, w
	begin(t, cmd)
	w.Close()
	c := &child{cmd: cmd, front: front, stderr: &output{}, ended: make(chan struct{})}
	go func() {
		_ = cmd.Wait()
		c.code = cmd.ProcessState.ExitCode()
		close(c.ended)
	}()
	defer func() { _ = cmd.Process.Kill(); <-c.ended }()
	until(t, "the pid file", func() bool { return read(dir+"/x.pid") != "" })
	r.Close()
	for range 3 {
		if status, _ := c.get(t, "tcp", front, "/"); status != 200 {
			t.Errorf("status %d", status)
		}
		c.signal(t, syscall.SIGHUP) // a line for the error log
	}
	c.alive(t)
	c.signal(t, syscall.SIGTERM)
	c.end(t, 0)
}

// A run in this process, ended by its context, gives back all files; goroutines are
// looked at when all tests are done.
func TestRunGivesEverythingBack(t *testing.T) {
	front := freeAddress(t).String() // claimed before files are counted
	once := func() {
		dir := worldDir(t)
		text := fill("admin unix:DIR/admin.sock;\npid DIR/x.pid;\n"+
			strings.Replace(plainConf, "FRONT;", "FRONT; listen unix:DIR/front.sock;", 1), dir, front)
		cfg, problems := config.LoadText("nginx.conf", text, config.Options{})
		if cfg == nil {
			t.Fatal(problems)
		}
		ctx, cancel := context.WithCancel(context.Background())
		var log output
		must(t, Run(ctx, Options{Config: cfg, Version: "test", Stderr: &log, Ready: cancel}))
	}
	once() // what the Go runtime opens once stays open
	first := openFiles(t)
	once()
	until(t, "as few open files as after the first run", func() bool { return openFiles(t) <= first })
}

// A user who may not write below the default prefix is told what to do.
func TestUnwritablePrefix(t *testing.T) {
	err := fileError("log file", &fs.PathError{Op: "open", Path: "/x/logs/error.log", Err: syscall.EACCES})
	refused(t, err, "log file: open /x/logs/error.log: permission denied; ", "-p")
}

// What a start has taken is given back when its last step fails.
func TestFailedStartGivesEverythingBack(t *testing.T) {
	dir := worldDir(t)
	must(t, os.WriteFile(dir+"/file", nil, 0o600))
	text := "admin unix:DIR/admin.sock;\npid DIR/file/x.pid;\n" +
		strings.Replace(plainConf, "FRONT;", "FRONT; listen unix:DIR/front.sock;", 1)
	cfg, problems := config.LoadText("nginx.conf", fill(text, dir, freeAddress(t).String()), config.Options{})
	if cfg == nil {
		t.Fatal(problems)
	}
	err := Run(context.Background(), Options{Config: cfg, Stderr: &output{}})
	refused(t, err, "pid: ", "not a directory")
	for _, name := range []string{"admin.sock", "front.sock"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s is left behind: %v", name, err)
		}
	}
}
