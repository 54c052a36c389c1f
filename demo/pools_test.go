package demo

import (
	"bytes"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"
)

// The pools belong to the whole process, so the test runs in one of its own.
func TestStopWorkerPools(t *testing.T) {
	const child = "HOLDFAST_TEST_POOLS"
	if os.Getenv(child) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^TestStopWorkerPools$")
		cmd.Env = append(os.Environ(), child+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil && strings.Contains(err.Error(), "exec format") {
			t.Skip("a test under an emulator can't start itself")
		}
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	if !poolsRun() {
		t.Fatal("no pool runs at the start: there is nothing to stop any more")
	}
	StopWorkerPools()
	for deadline := time.Now().Add(patience); poolsRun(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("a pool's goroutine still runs")
		}
	}
}

// poolsRun looks for the goroutines of the pools.
func poolsRun() bool {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return bytes.Contains(stacks, []byte("panjf2000/ants"))
}
