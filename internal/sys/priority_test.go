package sys_test

import (
	"os"
	"runtime"
	"strings"
	"testing"

	"holdfast/internal/sys"
)

// Only the calling thread yields, and by its share whatever the kernel knows of slices.
func TestYieldToOthers(t *testing.T) {
	nice := func() string {
		b, err := os.ReadFile("/proc/thread-self/stat")
		if err != nil {
			t.Error(err)
			return ""
		}
		_, fields, _ := strings.Cut(string(b), ") ") // the third field and those behind it
		return strings.Fields(fields)[19-3]
	}
	before := nice()
	got := make(chan string)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends here
		sys.YieldToOthers()
		got <- nice()
	}()
	if n := <-got; before == "0" && n != "10" {
		t.Errorf("nice is %s", n)
	}
	if nice() != before {
		t.Error("another thread yields too")
	}
}
