package certs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"time"
)

// File is a file that the configuration names.
type File struct {
	// Path is absolute; empty means that there is none.
	Path string
	// Conf and Line are where the configuration names it.
	Conf string
	Line int
}

// String is the path: two Files are the same if it is.
func (f File) String() string { return f.Path }

// FileError says why a file can't be used.
type FileError struct {
	File File
	Text string // what is wrong
	Hint string // what to do; may be empty
}

// Error is "file:line: path: text; hint", with the place in the configuration.
func (err *FileError) Error() string {
	s := err.File.Conf + ":" + strconv.Itoa(err.File.Line) + ": " + err.Message()
	if err.Hint != "" {
		s += "; " + err.Hint
	}
	return s
}

// Message is "path: text".
func (err *FileError) Message() string { return err.File.Path + ": " + err.Text }

func fault(f File, hint, format string, args ...any) *FileError {
	return &FileError{File: f, Text: fmt.Sprintf(format, args...), Hint: hint}
}

// fileBytesMax bounds what is read of a file; lists of revoked certificates are the largest.
const fileBytesMax = 64 << 20

// read reads a whole file.
func read(f File) ([]byte, *FileError) {
	in, err := os.Open(f.Path)
	if err != nil {
		return nil, unreadable(f, err)
	}
	defer func() { _ = in.Close() }()
	b, err := io.ReadAll(io.LimitReader(in, fileBytesMax+1))
	switch {
	case err != nil:
		return nil, unreadable(f, err)
	case len(b) > fileBytesMax:
		return nil, fault(f, "", "larger than %d MiB", fileBytesMax>>20)
	}
	return b, nil
}

// readable tells whether a file can be opened.
func readable(f File) *FileError {
	in, err := os.Open(f.Path)
	if err != nil {
		return unreadable(f, err)
	}
	_ = in.Close()
	return nil
}

func unreadable(f File, err error) *FileError {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fault(f, "relative names are looked for beside the main configuration file", "no such file")
	case errors.Is(err, fs.ErrPermission):
		return fault(f, "let the user that holdfast runs as read it", "permission denied")
	}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return fault(f, "", "%v", err)
}

// stamp tells whether a file is still the one that was read. Links are followed, so that one
// turned to another file counts, too.
type stamp struct {
	info fs.FileInfo // nil: there is none
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	return stamp{info}
}

func (s stamp) same(other stamp) bool {
	if s.info == nil || other.info == nil {
		return s.info == nil && other.info == nil
	}
	return os.SameFile(s.info, other.info) && s.info.Size() == other.info.Size() &&
		s.info.ModTime().Equal(other.info.ModTime())
}

// present leaves out the files that are not named.
func present(files ...File) (named []File) {
	for _, f := range files {
		if f.Path != "" {
			named = append(named, f)
		}
	}
	return named
}

// day is for messages about dates.
func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }
