package admin

import (
	"fmt"
	"os"
	"sync"
	"time"

	"holdfast/observe"
)

// Logger writes error log lines from any goroutine that is not a shard: start, reload,
// stop, resolver.
type Logger struct {
	mu   sync.Mutex
	log  *observe.ErrorLog
	sink Swapper
}

// Swapper takes whole lines off somebody's hands, as Sink.Swap says.
type Swapper interface {
	// Swap takes full, which is the Swapper's from then on, for an empty buffer.
	Swap(full []byte) (empty []byte)
}

// NewLogger returns a logger that writes lines of at least the given level to sink.
func NewLogger(sink Swapper, level observe.Level) *Logger {
	pid := os.Getpid()
	return &Logger{log: observe.NewErrorLog(level, pid, pid), sink: sink}
}

// Log writes one line. Lines are limited for each format, as ErrorLog.Append says.
func (l *Logger) Log(level observe.Level, format string, args ...any) {
	l.write(&observe.Entry{Level: level, Message: format, Text: fmt.Appendf([]byte{}, format, args...)})
}

// LogAlways writes one line, however many there are like it: one of a list that must be whole.
func (l *Logger) LogAlways(level observe.Level, text string) {
	l.write(&observe.Entry{Level: level, Message: text, Text: []byte(text), Always: true})
}

func (l *Logger) write(entry *observe.Entry) {
	if !l.log.Enabled(entry.Level) {
		return
	}
	now := time.Now().UnixNano()
	entry.NowNs = now
	l.mu.Lock()
	defer l.mu.Unlock()
	line := l.log.AppendSuppressed(nil, now)
	l.sink.Swap(l.log.Append(line, entry))
}
