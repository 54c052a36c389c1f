package engine

import (
	"os"
	"strconv"

	"holdfast/config"
)

// pidFile is the file with the process id (pid). The zero value is none.
type pidFile struct {
	path string
	file *os.File // kept open: a process that gave up root may not unlink it
}

func pidText() string { return strconv.Itoa(os.Getpid()) + "\n" }

// write creates the file. Readers see the whole number or no file.
func (p *pidFile) write(path string, owner *config.User) error {
	if err := makeFolder(path, owner); err != nil {
		return fileError("pid", err)
	}
	if info, err := os.Lstat(path); err == nil && !info.Mode().IsRegular() {
		// /dev/null, or a link that someone put there: not to be replaced.
		if err := os.WriteFile(path, []byte(pidText()), 0o644); err != nil {
			return fileError("pid", err)
		}
		return nil
	}
	next := path + ".new"
	_ = os.Remove(next)
	file, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return fileError("pid", err)
	}
	if _, err = file.WriteString(pidText()); err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		_ = file.Close()
		_ = os.Remove(next)
		return fileError("pid", err)
	}
	p.path, p.file = path, file
	return nil
}

// remove removes the file if it is still this process's; where it may not be
// unlinked, it is left empty.
func (p *pidFile) remove() {
	if p.file == nil {
		return
	}
	text, err := os.ReadFile(p.path)
	if err == nil && string(text) == pidText() && os.Remove(p.path) != nil {
		_ = p.file.Truncate(0)
	}
	_ = p.file.Close()
	p.file = nil
}
