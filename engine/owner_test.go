package engine

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/config"
	"holdfast/test/port"
)

func TestProcAddr(t *testing.T) {
	for text, want := range map[string]string{
		"0100007F:1F90":                         "127.0.0.1:8080",
		"00000000:0050":                         "0.0.0.0:80",
		"00000000000000000000000000000000:01BB": "[::]:443",
		"00000000000000000000000001000000:0016": "[::1]:22",
		"0000000000000000FFFF00000100007F:1F90": "127.0.0.1:8080",
		"B80D01200000000000000000EFBE0000:FFFF": "[2001:db8::beef]:65535",
	} {
		if got, ok := procAddr(text); !ok || got.String() != want {
			t.Errorf("%s is %v, %v, want %s", text, got, ok, want)
		}
	}
	for _, text := range []string{"", "0100007F", "0100007:1F90", "0100007G:1F90", "0100007F:1F9G", ":1", "0100007F0100007F:1"} {
		if got, ok := procAddr(text); ok {
			t.Errorf("%q is taken for %v", text, got)
		}
	}
}

func TestInTheWay(t *testing.T) {
	cases := []struct {
		a, b string
		want bool
	}{
		{"127.0.0.1:80", "127.0.0.1:80", true},
		{"127.0.0.1:80", "127.0.0.1:81", false},
		{"127.0.0.1:80", "127.0.0.2:80", false},
		{"127.0.0.1:80", "0.0.0.0:80", true},
		{"0.0.0.0:80", "127.0.0.1:80", true},
		{"[::1]:80", "[::]:80", true},
		{"[::1]:80", "0.0.0.0:80", false},
		{"0.0.0.0:80", "[::1]:80", false},
		{"0.0.0.0:80", "[::]:80", true},
		{"[::]:80", "127.0.0.1:80", true},
		{"[::ffff:127.0.0.1]:80", "127.0.0.1:80", true},
	}
	for _, c := range cases {
		if got := inTheWay(netip.MustParseAddrPort(c.a), netip.MustParseAddrPort(c.b)); got != c.want {
			t.Errorf("%s and %s: %v", c.a, c.b, got)
		}
	}
}

func TestSocketOwner(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct{ network, address string }{
		{"tcp4", "127.0.0.1:0"}, {"tcp4", "0.0.0.0:0"}, {"tcp6", "[::1]:0"}, {"tcp", "[::]:0"},
		{"unix", filepath.Join(dir, "plain.sock")}, {"unix", filepath.Join(dir, "with a blank.sock")},
		{"unix", fmt.Sprintf("@holdfast-test-%d", os.Getpid())},
	} {
		t.Run(c.network+" "+filepath.Base(c.address), func(t *testing.T) {
			l, err := net.Listen(c.network, c.address)
			if err != nil && strings.HasPrefix(c.address, "[") {
				t.Skip("no IPv6 here:", err)
			}
			must(t, err)
			defer l.Close()
			var addr config.Addr
			switch a := l.Addr().(type) {
			case *net.TCPAddr:
				addr.IP = a.AddrPort()
			case *net.UnixAddr:
				addr.Unix = a.Name
			}
			owner, own := socketOwner(addr)
			if want := fmt.Sprintf("(pid %d)", os.Getpid()); !own || !strings.HasSuffix(owner, want) {
				t.Errorf("owner %q, own %v; want it to end with %s", owner, own, want)
			}
		})
	}
	free := freeAddress(t)
	if owner, own := socketOwner(config.Addr{IP: free}); owner != "" || own {
		t.Errorf("%s is owned by %q", free, owner)
	}
}

// freeAddress is an address on which nobody listens; see port.Free about descriptors.
func freeAddress(t *testing.T) netip.AddrPort {
	t.Helper()
	return netip.MustParseAddrPort(port.Address(t))
}
