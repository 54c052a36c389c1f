package admin

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"holdfast/observe"
)

func TestLogger(t *testing.T) {
	path := filepath.Join(t.TempDir(), "error.log")
	logs, sink := openSink(t, path)
	logger := NewLogger(sink, observe.LevelNotice)
	logger.Log(observe.LevelInfo, "too low")
	logger.Log(observe.LevelNotice, "config %s: %v", "a\nb", os.ErrNotExist)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 50 {
				logger.Log(observe.LevelError, "try %d", i)
			}
		})
	}
	wg.Wait()
	closeLogs(t, logs)
	text := readFile(t, path)
	if !strings.Contains(text, "[notice]") || !strings.Contains(text, `: config a\x0Ab: file does not exist`+"\n") {
		t.Errorf("the log holds %q", text)
	}
	if strings.Contains(text, "too low") {
		t.Error("a line below the level was written")
	}
	if n := strings.Count(text, ": try "); n < 10 || n >= 400 {
		t.Errorf("%d of 400 similar lines were written", n)
	}
}
