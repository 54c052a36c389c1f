package admin

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// logFileMode is what nginx creates log files with.
const logFileMode = 0o644

// Logs are the open log files of the process, one Sink for each path. They outlive
// reloads.
type Logs struct {
	report io.Writer
	mu     sync.Mutex
	sinks  map[string]*Sink
	closed bool
}

// NewLogs returns a set without any file. Trouble with writing a log is reported to
// report, one line a minute and log at most; nil means stderr.
func NewLogs(report io.Writer) *Logs {
	if report == nil {
		report = os.Stderr
	}
	return &Logs{report: report, sinks: map[string]*Sink{}}
}

// Target is where lines go, and how.
type Target struct {
	// Path is that of a file, which is created and only ever appended to, or "stderr",
	// "stdout", /dev/null. A path that leads to the process's own stdout or stderr, as
	// container images link their log files, is that stream.
	Path string
	// Syslog is a server in the place of a file, which is called Label.
	Syslog *Syslog
	Label  string
	// Buffer is how many bytes are gathered before they are written, 0 for none; Flush how
	// long they wait at most, 0 without limit; Gzip the level they are compressed with, 1 to 9,
	// 0 for not.
	Buffer int
	Flush  time.Duration
	Gzip   int
}

// Name is what tells the target from others.
func (t *Target) Name() string {
	if t.Syslog != nil {
		return t.Label
	}
	return t.Path
}

// Open returns the sink of a target, opening it at the first call. A file that is open has
// the buffer that it was opened with.
func (l *Logs) Open(t Target) (*Sink, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, errors.New("logs are closed")
	}
	name := t.Name()
	if s := l.sinks[name]; s != nil {
		return s, nil
	}
	s, err := l.open(&t)
	if err != nil {
		return nil, err
	}
	l.sinks[name] = s
	return s, nil
}

func (l *Logs) open(t *Target) (*Sink, error) {
	path := t.Path
	switch {
	case t.Syslog != nil:
		return newSink(t, nil, l.report), nil
	case path == os.DevNull:
		return newDiscardSink(path), nil
	}
	file := standardStream(path)
	if file == nil {
		var err error
		if file, err = openLogFile(path); err != nil {
			return nil, err
		}
	}
	return newSink(t, file, l.report), nil
}

// openLogFile opens a regular log file. A named pipe is refused, because opening one
// blocks until somebody reads it.
func openLogFile(path string) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && info.Mode()&os.ModeNamedPipe != 0 {
		return nil, fmt.Errorf("open %s: is a named pipe; log to a file, stdout or stderr", path)
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, logFileMode)
}

// standardStream is the process's own stream that a path leads to, or nil.
func standardStream(path string) *os.File {
	switch path {
	case "stderr", "/dev/stderr":
		return os.Stderr
	case "stdout", "/dev/stdout":
		return os.Stdout
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().IsRegular() {
		return nil
	}
	for _, stream := range []*os.File{os.Stdout, os.Stderr} {
		if own, err := stream.Stat(); err == nil && os.SameFile(info, own) {
			return stream
		}
	}
	return nil
}

// Reopen opens every log file anew under its path, for log rotation. A sink whose file
// cannot be opened goes on in the old one; the errors are joined.
func (l *Logs) Reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	var errs []error
	for _, s := range l.sinks {
		errs = append(errs, s.reopen())
	}
	return errors.Join(errs...)
}

// Dropped is the number of lines that all logs together have lost.
func (l *Logs) Dropped() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := uint64(0)
	for _, s := range l.sinks {
		n += s.Dropped()
	}
	return n
}

// DroppedBy is the number of lines that each log has lost, by its name.
func (l *Logs) DroppedBy() map[string]uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	result := make(map[string]uint64, len(l.sinks))
	for name, s := range l.sinks {
		result[name] = s.Dropped()
	}
	return result
}

// Close writes what waits and closes the files, within timeout altogether. Lines
// handed over afterwards are dropped.
func (l *Logs) Close(timeout time.Duration) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	deadline := time.Now().Add(timeout)
	errs := make(chan error, len(l.sinks))
	for _, s := range l.sinks {
		go func() { errs <- s.close(deadline) }()
	}
	var all []error
	for range l.sinks {
		all = append(all, <-errs)
	}
	return errors.Join(all...)
}
