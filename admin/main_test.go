package admin

import (
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestMain fails a passed run when goroutines are left that do not end. goleak by itself
// waits for a second, which is little on a busy machine.
func TestMain(m *testing.M) {
	code := m.Run()
	for end := time.Now().Add(testDeadline); code == 0; {
		err := goleak.Find()
		if err == nil {
			break
		}
		if time.Now().After(end) {
			fmt.Fprintln(os.Stderr, "goroutines are left:", err)
			code = 1
		}
	}
	os.Exit(code)
}
