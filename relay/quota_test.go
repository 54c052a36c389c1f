package relay_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"holdfast/internal/sys"
	"holdfast/pool"
)

const quotaEnv = "HOLDFAST_TEST_QUOTA"

// TestSmallPipesPastTheQuota: an ordinary user's pipes are small once the user has many
// (pipe(7), pipe-user-pages-soft). Splicing goes on with those. It runs as a user of its
// own, so that nobody else's pipes count.
func TestSmallPipesPastTheQuota(t *testing.T) {
	if os.Getenv(quotaEnv) != "" {
		spliceWithSmallPipes(t)
		return
	}
	if os.Getuid() != 0 {
		t.Skip("only root can become another user")
	}
	dir, err := os.MkdirTemp("", "quota") // a folder that the other user can enter
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	self := filepath.Join(dir, "test")
	if err := copyProgram(self); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run=^TestSmallPipesPastTheQuota$", "-test.v")
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), quotaEnv+"=1")
	id := uint32(1_500_000_000 + os.Getpid())
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id}}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.ENOEXEC) {
		t.Skip("a test of a foreign architecture can't start itself")
	}
	if errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.EPERM) {
		t.Skipf("root can't become user %d here: %v", id, err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}

func copyProgram(to string) error {
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer from.Close()
	f, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, from); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}

func spliceWithSmallPipes(t *testing.T) {
	full := 0
	for range 2000 {
		r, w, room, e := sys.Pipe(256 << 10)
		if e != 0 {
			t.Skipf("no more pipes after %d: %v", full, e)
		}
		if room < 64<<10 {
			sys.Close(r)
			sys.Close(w)
			break
		}
		full++
	}
	r := newRig(t, unixPair, tcpPair)
	r.m.Pipes = pool.NewPipes(1)
	id, ok := r.m.Pipes.Get()
	if !ok {
		t.Skip("past the quota the kernel gives no pipe at all")
	}
	room := r.m.Pipes.At(id).Room
	r.m.Pipes.Put(id)
	if room >= 64<<10 {
		t.Skipf("no quota after %d pipes", full)
	}
	fmt.Printf("a pipe of %d bytes after %d of full size\n", room, full)
	bulk(r, 4<<20)
}
