package sys

import (
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// SteerByCPU has the sockets that share fd's address by SO_REUSEPORT chosen by the number of
// the CPU that handles a connection's SYN, modulo count, in the order in which they began to
// listen (socket(7), SO_ATTACH_REUSEPORT_CBPF). It needs no privileges.
func SteerByCPU(fd int32, count int) Errno {
	const adCPU = 1<<32 - 0x1000 + 36 // SKF_AD_OFF + SKF_AD_CPU of linux/filter.h
	program := [...]unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: adCPU},
		{Code: unix.BPF_ALU | unix.BPF_MOD | unix.BPF_K, K: uint32(count)},
		{Code: unix.BPF_RET | unix.BPF_A},
	}
	fprog := unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]}
	if err := unix.SetsockoptSockFprog(int(fd), unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, &fprog); err != nil {
		return asErrno(err)
	}
	return 0
}

// SteerByProgram has the sockets that share fd's address by SO_REUSEPORT chosen by a loaded
// program of the type BPF_PROG_TYPE_SK_REUSEPORT (socket(7), SO_ATTACH_REUSEPORT_EBPF). The
// sockets keep the program: its descriptor may be closed.
func SteerByProgram(fd int32, program int) Errno {
	return setInt(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_EBPF, program)
}

// SharedWords are 64-bit words that the kernel shares with the process. They lie outside the
// memory of Go.
type SharedWords struct {
	bytes []byte
	words []atomic.Uint64
}

// MapWords maps the first n words of a BPF array with the flag BPF_F_MMAPABLE. They live
// until Unmap, also when the descriptor is closed.
func MapWords(fd, n int) (SharedWords, Errno) {
	b, err := unix.Mmap(fd, 0, n*8, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return SharedWords{}, asErrno(err)
	}
	return SharedWords{b, unsafe.Slice((*atomic.Uint64)(unsafe.Pointer(&b[0])), n)}, 0
}

// Word is the i-th word. It must not be touched after Unmap.
func (w SharedWords) Word(i int) *atomic.Uint64 { return &w.words[i] }

// Unmap ends the words' life. It does nothing where there are none.
func (w SharedWords) Unmap() {
	if w.bytes != nil {
		_ = unix.Munmap(w.bytes) // fails for no mapping of ours
	}
}
