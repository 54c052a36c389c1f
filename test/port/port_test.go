package port

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// childPorts tells this binary to take that many ports, print them, and to hold them
// until its standard input ends.
const childPorts = "HOLDFAST_TEST_PORTS"

func TestMain(m *testing.M) {
	if count, err := strconv.Atoi(os.Getenv(childPorts)); err == nil {
		os.Exit(child(count))
	}
	os.Exit(m.Run())
}

func child(count int) int {
	var text strings.Builder
	for range count {
		n, err := Free()
		if err != nil {
			return 1
		}
		text.WriteString(strconv.Itoa(n) + " ")
	}
	os.Stdout.WriteString(text.String() + "\n")
	_, _ = os.Stdin.Read(make([]byte, 1))
	return 0
}

func TestNoPortTwice(t *testing.T) {
	const each = 100
	var mu sync.Mutex
	seen := map[int]bool{}
	note := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		if seen[n] || n < lowest || n > highest {
			t.Errorf("port %d; given before: %v", n, seen[n])
		}
		seen[n] = true
	}
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() {
			for range each {
				n, err := Free()
				if err != nil {
					t.Error(err)
					return
				}
				note(n)
			}
		})
		all.Go(func() {
			for _, n := range otherProcess(t, each) {
				note(n)
			}
		})
	}
	all.Wait()
}

// otherProcess has another process take ports, which it holds until the test ends.
func otherProcess(t *testing.T, count int) (ports []int) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childPorts+"="+strconv.Itoa(count))
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		t.Error(err)
		return nil
	}
	if err := cmd.Start(); err != nil {
		if !errors.Is(err, syscall.ENOEXEC) { // an emulator does not start processes
			t.Error(err)
		}
		return nil
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	text := make([]byte, 0, 8*count)
	for len(text) == 0 || text[len(text)-1] != '\n' {
		n, err := out.Read(text[len(text):cap(text)])
		if err != nil {
			t.Error("the other process took no ports:", err)
			return nil
		}
		text = text[:len(text)+n]
	}
	for _, word := range strings.Fields(string(text)) {
		n, err := strconv.Atoi(word)
		if err != nil {
			t.Error(err)
		}
		ports = append(ports, n)
	}
	if len(ports) != count {
		t.Errorf("%d ports, want %d", len(ports), count)
	}
	return ports
}

func TestPortIsFreeOnEveryAddress(t *testing.T) {
	for _, host := range []string{"", "127.0.0.1", "127.0.0.2"} {
		l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(Take(t))))
		if err != nil {
			t.Error(err)
			continue
		}
		l.Close()
	}
	if host, _, err := net.SplitHostPort(Address(t)); host != "127.0.0.1" {
		t.Error(host, err)
	}
}

func TestBounds(t *testing.T) {
	for text, want := range map[string][2]int{
		"32768\t60999\n": {lowest, highest},
		"20000 60999":    {lowest, 19999},
		"16000 65000":    {lowest, highest},
		"1024 65535":     {lowest, highest},
		"40000 65535":    {lowest, highest},
		"nonsense":       {lowest, highest},
	} {
		if low, high := bounds([]byte(text), nil); low != want[0] || high != want[1] {
			t.Errorf("%q: %d to %d, want %v", text, low, high, want)
		}
	}
	if low, high := bounds(nil, os.ErrNotExist); low != lowest || high != highest {
		t.Errorf("no file: %d to %d", low, high)
	}
}
