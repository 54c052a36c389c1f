package sys

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// The error numbers that opening a file brings.
const (
	ENOTDIR      = unix.ENOTDIR
	ENAMETOOLONG = unix.ENAMETOOLONG
	EACCES       = unix.EACCES
	ELOOP        = unix.ELOOP
)

// FileKind is what a path leads to.
type FileKind uint8

// The kinds of files told apart.
const (
	FileOther   FileKind = iota // a device, a FIFO, a socket
	FileRegular                 // a regular file
	FileFolder                  // a directory
)

// FileInfo is what is known of a file.
type FileInfo struct {
	Size        int64 // bytes
	ModifiedSec int64 // seconds since 1970
	Kind        FileKind
	Executable  bool // by its owner
}

func fileInfo(st *unix.Stat_t) FileInfo {
	f := FileInfo{Size: st.Size, ModifiedSec: st.Mtim.Sec, Executable: st.Mode&unix.S_IXUSR != 0}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		f.Kind = FileRegular
	case unix.S_IFDIR:
		f.Kind = FileFolder
	}
	return f
}

// OpenFile opens a file for reading and says what it is. path ends with a NUL. It never
// waits for the other end of a FIFO, but a disk may make it wait.
func OpenFile(path []byte) (fd int32, info FileInfo, errno Errno) {
	at := unix.AT_FDCWD
	const flags = unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOCTTY
	r, _, e := unix.Syscall6(unix.SYS_OPENAT, uintptr(at), uintptr(unsafe.Pointer(&path[0])), flags, 0, 0, 0)
	if e != 0 {
		return -1, FileInfo{}, e
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(r), &st); err != nil {
		Close(int32(r))
		return -1, FileInfo{}, asErrno(err)
	}
	return int32(r), fileInfo(&st), 0
}

// StatFile says what path, which ends with a NUL, leads to; symbolic links are followed.
// A disk may make it wait.
func StatFile(path []byte) (info FileInfo, errno Errno) {
	at := unix.AT_FDCWD
	var st unix.Stat_t
	_, _, e := unix.Syscall6(sysFstatat, uintptr(at), uintptr(unsafe.Pointer(&path[0])),
		uintptr(unsafe.Pointer(&st)), 0, 0, 0)
	if e != 0 {
		return FileInfo{}, e
	}
	return fileInfo(&st), 0
}

// ReadFileAt reads from a file at an offset. n is 0 at its end. A disk may make it wait.
func ReadFileAt(fd int32, buf []byte, offset int64) (n int, errno Errno) {
	for {
		r, _, e := unix.Syscall6(unix.SYS_PREAD64, uintptr(fd), uintptr(unsafe.Pointer(&buf[0])), uintptr(len(buf)),
			uintptr(offset), 0, 0)
		if e == 0 {
			return int(r), 0
		}
		if e != EINTR {
			return 0, e
		}
	}
}

// SendFile moves up to n bytes of a file, from an offset on, to a non-blocking socket
// (sendfile(2)). moved is 0 at the file's end. EAGAIN means that the socket takes no
// more. A disk may make it wait.
func SendFile(to, file int32, offset int64, n int) (moved int, errno Errno) {
	for {
		r, _, e := unix.Syscall6(unix.SYS_SENDFILE, uintptr(to), uintptr(file), uintptr(unsafe.Pointer(&offset)),
			uintptr(n), 0, 0)
		if e == 0 {
			return int(r), 0
		}
		if e != EINTR {
			return 0, e
		}
	}
}
