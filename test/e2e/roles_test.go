package e2e_test

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"holdfast/test/proc"
	"holdfast/test/wire"
)

// playRole is the test binary started again as a process that a test may kill: an echo
// backend, or a client that holds tunnels. It reports through the file
// HOLDFAST_TEST_REPORT and then waits to be killed.
func playRole(role string) int {
	switch role {
	case "backend":
		s, err := wire.ListenEcho(cmp.Or(os.Getenv("HOLDFAST_TEST_ADDRESS"), "127.0.0.1:0"))
		if err != nil {
			fmt.Println(err)
			return 1
		}
		report(s.Addr())
	case "client":
		count, _ := strconv.Atoi(os.Getenv("HOLDFAST_TEST_COUNT"))
		for range count {
			c := proc.Try(os.Getenv("HOLDFAST_TEST_ADDRESS"))
			c.Handshake("x", "/")
			if c.EchoText("held"); c.Err() != nil {
				fmt.Println(c.Err())
				return 1
			}
			held = append(held, c)
		}
		report("ready")
	}
	select {}
}

// held keeps the role's tunnels from the garbage collector, which would close them.
var held []*proc.Raw

func report(text string) {
	path := os.Getenv("HOLDFAST_TEST_REPORT")
	if err := os.WriteFile(path+".part", []byte(text), 0o600); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	if err := os.Rename(path+".part", path); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// startRole starts a role and returns its process and its report.
func startRole(t *testing.T, role string, env ...string) (*proc.Process, string) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "report")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := proc.Launch(proc.Command{
		Path:   self,
		Env:    append([]string{"HOLDFAST_TEST_ROLE=" + role, "HOLDFAST_TEST_REPORT=" + path}, env...),
		Output: filepath.Join(dir, "output"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	var text []byte
	proc.Until(t, "the "+role+" process", func() (err error) {
		if p.Ended() {
			output, _ := os.ReadFile(filepath.Join(dir, "output"))
			t.Fatalf("the %s process ended: %s", role, output)
		}
		text, err = os.ReadFile(path)
		return err
	})
	return p, string(text)
}
