package sys_test

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"holdfast/internal/sys"
)

// childEnv names the part that a process started by a test plays.
const childEnv = "HOLDFAST_TEST_PART"

func TestMain(m *testing.M) {
	if part := os.Getenv(childEnv); part != "" {
		if err := parts[part](); err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var parts = map[string]func() error{
	"limits": limitsPart,
}

// TestFileLimits runs in a process of its own: limits belong to the whole process.
func TestFileLimits(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Skip(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), childEnv+"=limits")
	if out, err := cmd.CombinedOutput(); err != nil {
		if strings.Contains(err.Error(), "exec format") {
			t.Skip("tests of a foreign architecture can't start themselves")
		}
		t.Fatalf("%v: %s", err, out)
	}
}

func limitsPart() error {
	set := func(cur, hard uint64) error {
		return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: cur, Max: hard})
	}
	var start unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &start); err != nil {
		return err
	}
	if start.Max < 600 {
		return fmt.Errorf("a hard limit of %d is too low for this test", start.Max)
	}
	hard := start.Max
	for _, c := range []struct {
		name            string
		cur, want, then uint64
	}{
		{"raised", 100, 200, 200},
		{"lowered", 300, 200, 200},
		{"as it is", 300, 300, 300},
		{"to the hard limit", 100, 0, hard},
	} {
		if err := set(c.cur, hard); err != nil {
			return err
		}
		got, e := sys.RaiseFileLimit(c.want)
		var now unix.Rlimit
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
			return err
		}
		if e != 0 || got != c.then || now.Cur != c.then || now.Max != hard {
			return fmt.Errorf("%s: returned %d and %v, limits %+v, want %d", c.name, got, e, now, c.then)
		}
	}
	if e := growCases(); e != nil {
		return e
	}
	// Past the hard limit: a privileged process raises it, another one gets the hard limit.
	if err := set(100, 400); err != nil {
		return err
	}
	got, e := sys.RaiseFileLimit(500)
	if e != 0 || got != 400 && got != 500 || os.Geteuid() != 0 && got != 400 {
		return fmt.Errorf("past the hard limit: %d, %v", got, e)
	}
	if os.Geteuid() != 0 {
		return nil
	}
	// More than the kernel allows anybody falls back to the hard limit.
	if err := set(100, 400); err != nil {
		return err
	}
	if got, e := sys.RaiseFileLimit(1 << 40); e != 0 || got != 400 {
		return fmt.Errorf("past fs.nr_open: %d, %v", got, e)
	}
	return nil
}

func growCases() error {
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 512, Max: 512}); err != nil {
		return err
	}
	before, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	if e := sys.GrowFileTable(512); e != 0 {
		return fmt.Errorf("grow to the limit: %v", e)
	}
	if e := sys.GrowFileTable(513); e != sys.EINVAL {
		return fmt.Errorf("grow past the limit: %v", e)
	}
	if e := sys.GrowFileTable(0); e != sys.EINVAL {
		return fmt.Errorf("grow to nothing: %v", e)
	}
	after, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	if len(before) != len(after) {
		return fmt.Errorf("%d descriptors before, %d after", len(before), len(after))
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(status)) {
		var size int
		if n, _ := fmt.Sscanf(line, "FDSize:\t%d", &size); n == 1 && size < 512 {
			return fmt.Errorf("the table has room for %d", size)
		}
	}
	return nil
}

// TestPipesAndSplice moves bytes from a socket through a pipe to another.
func TestPipesAndSplice(t *testing.T) {
	r, w, room, e := sys.Pipe(256 << 10)
	if e != 0 {
		t.Fatal(e)
	}
	defer sys.Close(r)
	defer sys.Close(w)
	nonBlockingAndPrivate(t, "pipe", r)
	nonBlockingAndPrivate(t, "pipe", w)
	if got, _ := unix.FcntlInt(uintptr(r), unix.F_GETPIPE_SZ, 0); got != room || room < 4096 {
		t.Fatalf("room %d, the kernel says %d", room, got)
	}
	a, b := tcpPair(t, sys.ListenOptions{})
	c, d := socketpair(t)
	if n, e := sys.Splice(a, w, room); n != 0 || e != sys.EAGAIN {
		t.Fatalf("an empty socket: %d, %v", n, e)
	}
	if n, e := sys.Splice(r, c, room); n != 0 || e != sys.EAGAIN {
		t.Fatalf("an empty pipe: %d, %v", n, e)
	}
	write(t, b, "through the pipe")
	readable(t, a)
	if n, e := sys.Splice(a, w, 7); n != 7 || e != 0 {
		t.Fatalf("%d, %v", n, e)
	}
	if n, e := sys.Splice(a, w, room); n != 9 || e != 0 {
		t.Fatalf("%d, %v", n, e)
	}
	if n, e := sys.Splice(r, c, 16); n != 16 || e != 0 {
		t.Fatalf("%d, %v", n, e)
	}
	var buf [32]byte
	if n, _ := sys.Read(d, buf[:]); string(buf[:n]) != "through the pipe" {
		t.Fatalf("%q", buf[:n])
	}
	sys.ShutdownWrite(b)
	readable(t, a)
	if n, e := sys.Splice(a, w, room); n != 0 || e != 0 {
		t.Fatalf("end of stream: %d, %v", n, e)
	}
	// A dead destination is EPIPE; the process survives the signal.
	if n, err := unix.Write(int(w), []byte("lost")); n != 4 {
		t.Fatal(err)
	}
	unix.Shutdown(int(c), unix.SHUT_WR)
	if n, e := sys.Splice(r, c, 4); n != 0 || e != sys.EPIPE {
		t.Fatalf("dead destination: %d, %v", n, e)
	}
	if n, e := sys.Splice(r, r, 4); n != 0 || e == 0 {
		t.Fatalf("nonsense: %d, %v", n, e)
	}
}

func TestPipeWithoutDescriptors(t *testing.T) {
	var lim unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		t.Fatal(err)
	}
	low := unix.Rlimit{Cur: 3, Max: lim.Max}
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &low); err != nil {
		t.Fatal(err)
	}
	_, _, _, pipe := sys.Pipe(4096)
	_, poller := sys.NewPoller(1)
	_, listener := sys.ListenUnix("@x", sys.ListenOptions{})
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &lim); err != nil {
		t.Fatal(err)
	}
	for what, e := range map[string]sys.Errno{"pipe": pipe, "poller": poller, "listener": listener} {
		if e != sys.EMFILE {
			t.Errorf("%s: %v", what, e)
		}
	}
}
