package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"holdfast/config"
	"holdfast/observe"
)

// ReloadState is what a process tells about its reloads, in a file beside its pid file. Who
// signals it reads Started before, and waits until Finished is larger: the reload that ends then
// began behind the signal, or at least behind the reading of the file.
type ReloadState struct {
	PID        int
	Config     string    // the path of the configuration file, absolute
	Generation uint64    // of the configuration in use, from 1 on
	Started    int       // reloads that have begun
	Finished   int       // reloads that have ended
	Failures   uint64    // those that changed nothing
	OK         bool      // the last one put a new configuration to use
	Time       time.Time // when it ended
	Problems   []string  // of the last one: warnings, or why it failed
}

// StatePath is where the process with a pid file keeps its ReloadState.
func StatePath(pidFile string) string { return pidFile + ".state" }

// ReadState reads the state of the process with that pid file. The error is fs.ErrNotExist if
// it keeps none.
func ReadState(pidFile string) (*ReloadState, error) {
	for range 100 {
		text, err := os.ReadFile(StatePath(pidFile))
		if err != nil {
			return nil, err
		}
		sum, line, _ := bytes.Cut(text, []byte(" "))
		line, _, whole := bytes.Cut(line, []byte("\n"))
		if whole && string(sum) == checksum(line) {
			s := &ReloadState{}
			return s, json.Unmarshal(line, s)
		}
		if len(text) == 0 {
			return nil, fs.ErrNotExist // of a process that could not remove it
		}
		time.Sleep(time.Millisecond) // it is being written
	}
	return nil, errors.New(StatePath(pidFile) + " is damaged")
}

// checksum tells a line that was written whole from one that is being written.
func checksum(line []byte) string { return fmt.Sprintf("%08x", crc32.ChecksumIEEE(line)) }

// stateFile is the open file with the ReloadState; the zero value is none. It stays open: the
// process may have given up the right to make files beside its pid file.
type stateFile struct {
	path string
	file *os.File
}

// openState makes the file. Without it reloads work as well, but nobody is told how they went.
func (e *engine) openState() {
	s := &e.reloads.state
	path, err := filepath.Abs(e.opt.ConfigPath)
	if err != nil {
		path = e.opt.ConfigPath
	}
	s.PID, s.Config, s.Generation, s.OK, s.Time = os.Getpid(), path, 1, true, e.started
	if e.pid.file == nil {
		return
	}
	if err := e.reloads.file.open(StatePath(e.pid.path)); err != nil {
		e.logger.Log(observe.LevelWarn, "%v; a reload can't tell who asks for it how it went", err)
		return
	}
	e.reloads.file.write(s)
}

func (f *stateFile) open(path string) error {
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is no regular file", path)
	}
	_ = os.Remove(path)
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	f.path, f.file = path, file
	return nil
}

// write replaces the text of the file. What can't be written is not told.
func (f *stateFile) write(s *ReloadState) {
	if f.file == nil {
		return
	}
	line, err := json.Marshal(s)
	if err != nil {
		return
	}
	text := append([]byte(checksum(line)+" "), append(line, '\n')...)
	if _, err := f.file.WriteAt(text, 0); err == nil {
		_ = f.file.Truncate(int64(len(text)))
	}
}

// remove removes the file; where it may not be unlinked, it is left empty.
func (f *stateFile) remove() {
	if f.file == nil {
		return
	}
	if os.Remove(f.path) != nil {
		_ = f.file.Truncate(0)
	}
	_ = f.file.Close()
	f.file = nil
}

// renamePID moves the pid file to where the new configuration wants it, as far as that may be
// done now.
func (e *engine) renamePID(cfg *config.Config) (warnings []string) {
	e.changing.Lock()
	defer e.changing.Unlock()
	if e.draining.Load() || cfg.Main.PID == e.pid.path || e.pid.file == nil {
		return nil
	}
	var next pidFile
	if err := next.write(cfg.Main.PID, cfg.Main.User); err != nil {
		return []string{fmt.Sprintf("the pid file stays %s: %v", e.pid.path, err)}
	}
	var state stateFile
	if next.file != nil {
		if err := state.open(StatePath(next.path)); err != nil {
			warnings = []string{err.Error()}
		}
	}
	e.pid.remove()
	e.reloads.file.write(&e.reloads.state)
	e.reloads.file.remove()
	e.pid, e.reloads.file = next, state
	return warnings
}
