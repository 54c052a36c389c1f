package procfs_test

import (
	"net"
	"os"
	"os/exec"
	"slices"
	"syscall"
	"testing"
	"time"

	"holdfast/test/procfs"
)

func TestOpenFilesCountsASocketAndAPipe(t *testing.T) {
	// The runtime's own descriptors appear with the first listener.
	warm, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer warm.Close()
	before, err := procfs.OpenFiles(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	after, err := procfs.OpenFiles(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if after.Sockets != before.Sockets+1 || after.Pipes != before.Pipes+2 {
		t.Errorf("before %+v, after one socket and one pipe %+v", before, after)
	}
}

func TestPSSGrowsWithTouchedMemory(t *testing.T) {
	const size = 64 << 20
	// Not from the heap, where the memory of an earlier block may lie ready.
	block, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Munmap(block)
	before, err := procfs.PSS(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < size; i += 4096 {
		block[i] = 1
	}
	after, err := procfs.PSS(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if after-before < size/2 {
		t.Errorf("touched %d bytes, PSS went from %d to %d", size, before, after)
	}
}

func TestRunTimeGrowsWithWork(t *testing.T) {
	before, err := procfs.RunTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(60 * time.Second)
	sum := 0
	for time.Now().Before(deadline) {
		for i := range 1 << 20 {
			sum += i
		}
		now, err := procfs.RunTime(os.Getpid())
		if err != nil {
			t.Fatal(err)
		}
		if now > before {
			return
		}
	}
	t.Errorf("no run time was counted (sum %d)", sum)
}

func TestTreeHasTheChild(t *testing.T) {
	cmd := exec.Command("cat")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer in.Close()
	tree, err := procfs.Tree(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(tree, cmd.Process.Pid) || tree[0] != os.Getpid() {
		t.Errorf("tree %v of %d lacks the child %d", tree, os.Getpid(), cmd.Process.Pid)
	}
}
