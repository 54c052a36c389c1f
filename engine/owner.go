package engine

import (
	"bufio"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"holdfast/config"
)

// socketOwner names the process that listens on an address, as "nginx (pid 17)"; empty
// if it can't be found: it may belong to another user. own says that it is this one.
func socketOwner(a config.Addr) (owner string, own bool) {
	var inode string
	if a.Unix != "" {
		inode = unixInode(a.Unix)
	} else {
		inode = tcpInode(a.IP)
	}
	if inode == "" {
		return "", false
	}
	link := "socket:[" + inode + "]"
	fds, _ := filepath.Glob("/proc/[0-9]*/fd/*")
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && to == link {
			pid := strings.Split(fd, "/")[2]
			name, _ := os.ReadFile("/proc/" + pid + "/comm")
			owner = fmt.Sprintf("%s (pid %s)", strings.TrimSpace(string(name)), pid)
			return owner, pid == strconv.Itoa(os.Getpid())
		}
	}
	return "", false
}

// listenState is the state column of a listening socket in /proc/net/tcp.
const listenState = "0A"

// tcpInode finds a listening socket that is in the way of addr. Those of its own
// family come first: one of the other family is in the way only if it takes both.
func tcpInode(addr netip.AddrPort) (inode string) {
	files := []string{"/proc/net/tcp", "/proc/net/tcp6"}
	if !addr.Addr().Unmap().Is4() {
		files = []string{"/proc/net/tcp6", "/proc/net/tcp"}
	}
	for _, file := range files {
		eachLine(file, func(f []string) bool {
			if len(f) >= 10 && f[3] == listenState {
				if other, ok := procAddr(f[1]); ok && inTheWay(addr, other) {
					inode = f[9]
				}
			}
			return inode != ""
		})
		if inode != "" {
			return inode
		}
	}
	return ""
}

// inTheWay tells whether two listening sockets may exclude each other: same port, and
// the same address or a wildcard. [::] may have IPv4, too; [::1] never has.
func inTheWay(a, b netip.AddrPort) bool {
	x, y := a.Addr().Unmap(), b.Addr().Unmap()
	switch {
	case a.Port() != b.Port():
		return false
	case x.Is4() == y.Is4():
		return x == y || x.IsUnspecified() || y.IsUnspecified()
	case x.Is4():
		return y.IsUnspecified()
	}
	return x.IsUnspecified()
}

// unixListening is the flags column of a listening socket in /proc/net/unix.
const unixListening = "00010000"

func unixInode(path string) (inode string) {
	eachLine("/proc/net/unix", func(f []string) bool {
		// The accepted sockets of a listener have its path, too.
		if len(f) >= 8 && f[3] == unixListening && strings.Join(f[7:], " ") == path {
			inode = f[6]
		}
		return inode != ""
	})
	return inode
}

// eachLine calls f with the columns of each line until it returns true.
func eachLine(file string, f func(columns []string) bool) {
	in, err := os.Open(file)
	if err != nil {
		return
	}
	defer in.Close()
	for lines := bufio.NewScanner(in); lines.Scan(); {
		if f(strings.Fields(lines.Text())) {
			return
		}
	}
}

// procAddr reads an address of /proc/net/tcp: the kernel prints it as 32-bit words in
// the machine's byte order, which is little-endian on both architectures served.
func procAddr(text string) (netip.AddrPort, bool) {
	host, portHex, ok := strings.Cut(text, ":")
	port, err := strconv.ParseUint(portHex, 16, 16)
	if !ok || err != nil || len(host)%8 != 0 {
		return netip.AddrPort{}, false
	}
	var raw []byte
	for i := 0; i < len(host); i += 8 {
		word, err := strconv.ParseUint(host[i:i+8], 16, 32)
		if err != nil {
			return netip.AddrPort{}, false
		}
		raw = append(raw, byte(word), byte(word>>8), byte(word>>16), byte(word>>24))
	}
	ip, ok := netip.AddrFromSlice(raw)
	return netip.AddrPortFrom(ip.Unmap(), uint16(port)), ok
}
