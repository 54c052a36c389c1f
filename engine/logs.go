package engine

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"holdfast/admin"
	"holdfast/config"
	"holdfast/observe"
)

// openLog opens a log. A file that is missing, and the folder it lies in, are
// made in the name of the user that the process becomes: it opens them again on USR1.
func (e *engine) openLog(t logTarget) (*admin.Sink, error) {
	if t.Syslog == nil && filepath.IsAbs(t.Path) {
		if err := makeLogFile(t.Path, e.cfg.Main.User); err != nil {
			return nil, fileError("log file", err)
		}
	}
	sink, err := e.logs.Open(t.sink())
	if err != nil {
		return nil, fileError("log file", err)
	}
	return sink, nil
}

// sink is the target as package admin has it.
func (t *logTarget) sink() admin.Target {
	if t.Syslog == nil {
		return admin.Target{Path: t.Path, Buffer: int(t.Buffer), Flush: t.Flush, Gzip: t.Gzip}
	}
	to := t.Syslog
	network, address := "udp", to.Server.IP.String()
	if to.Server.Unix != "" {
		network, address = "unixgram", to.Server.Unix
	}
	hostname := ""
	if name, err := os.Hostname(); err == nil && !to.NoHostname {
		hostname = strings.ToLower(name) // as nginx writes it
	}
	return admin.Target{Label: t.name(), Syslog: &admin.Syslog{
		Network: network, Address: address, Facility: to.Facility, Severity: int(to.Severity), Errors: t.errors,
		Tag: to.Tag, Hostname: hostname,
	}}
}

// fileError says why a file could not be made, and what to do about it.
func fileError(what string, err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%s: %w; start as a user who may, or give another prefix for logs and the pid file with -p",
			what, err)
	}
	return fmt.Errorf("%s: %w", what, err)
}

// makeLogFile never gives away what exists: a link planted in a folder of that user
// would otherwise hand it any file of the system.
func makeLogFile(path string, owner *config.User) error {
	if err := makeFolder(path, owner); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	if owner == nil {
		return nil
	}
	return file.Chown(owner.UID, owner.GID)
}

// makeFolder makes the folder of a file if it is missing.
func makeFolder(file string, owner *config.User) error {
	dir := filepath.Dir(file)
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return nil // what is wrong with it, opening the file tells
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if owner == nil {
		return nil
	}
	return os.Lchown(dir, owner.UID, owner.GID)
}

// errorLogs are the files of the error_log directives. It may be used by several
// threads.
type errorLogs struct {
	files []errorLogFile
	level observe.Level // lines below it go to no file
}

type errorLogFile struct {
	sink  *admin.Sink
	level observe.Level
}

// Swap hands whole lines of observe.ErrorLog to each file that takes their level. It
// is shard.LogSink.
func (l *errorLogs) Swap(full []byte) (empty []byte) {
	if len(l.files) == 1 { // whoever writes looks at the level
		return l.files[0].sink.Swap(full)
	}
	for _, file := range l.files {
		var taken []byte
		for line := range bytes.Lines(full) {
			if observe.LineLevel(line) >= file.level {
				taken = append(taken, line...)
			}
		}
		file.sink.Swap(taken)
	}
	return full[:0]
}

// openErrorLogs opens the files of all error_log directives. One that is named twice
// takes the lower level of the two.
func (e *engine) openErrorLogs(cfg *config.Config) (*errorLogs, error) {
	all := &errorLogs{level: observe.LevelEmerg}
	byPath := map[string]int{}
	for _, log := range cfg.Main.ErrorLogs {
		target := errorTarget(&log)
		path := target.name()
		// config counts levels from the most severe on, observe up to it.
		level, _ := observe.ParseLevel(log.Level.String())
		all.level = min(all.level, level)
		if i, again := byPath[path]; again {
			all.files[i].level = min(all.files[i].level, level)
			continue
		}
		sink, err := e.openLog(target)
		if err != nil {
			return nil, err
		}
		byPath[path] = len(all.files)
		all.files = append(all.files, errorLogFile{sink: sink, level: level})
	}
	return all, nil
}

// processLog is the error log for all but the shards.
type processLog struct{ now atomic.Pointer[admin.Logger] }

// Log writes one line; before the error log is open it goes nowhere.
func (l *processLog) Log(level observe.Level, format string, args ...any) {
	if logger := l.now.Load(); logger != nil {
		logger.Log(level, format, args...)
	}
}

// LogAlways writes one line of a list that must be whole.
func (l *processLog) LogAlways(level observe.Level, text string) {
	if logger := l.now.Load(); logger != nil {
		logger.LogAlways(level, text)
	}
}

// use makes logs the error log.
func (l *processLog) use(logs *errorLogs) { l.now.Store(admin.NewLogger(logs, logs.level)) }

// openLogs opens the logs of a configuration that are not open yet.
func (e *engine) openLogs(built *Built) error {
	for _, number := range slices.Sorted(maps.Keys(built.targets)) {
		for number >= len(e.sinks) {
			e.sinks = append(e.sinks, nil)
		}
		if e.sinks[number] != nil {
			continue
		}
		sink, err := e.openLog(*built.targets[number])
		if err != nil {
			return err
		}
		e.sinks[number] = sink
	}
	return nil
}

// logTrouble is where logs report that they can't be written: stderr, and the error log.
type logTrouble struct {
	stderr io.Writer
	logger *processLog
}

// Write reports one line.
func (t *logTrouble) Write(line []byte) (int, error) {
	t.logger.Log(observe.LevelAlert, "%s", bytes.TrimPrefix(bytes.TrimSpace(line), []byte("holdfast: ")))
	return t.stderr.Write(line)
}

func (e *engine) closeLogs() {
	if err := e.logs.Close(logsCloseLimit); err != nil {
		fmt.Fprintf(e.opt.Stderr, "holdfast: %v\n", err)
	}
}
