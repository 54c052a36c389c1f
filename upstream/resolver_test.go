package upstream_test

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/upstream"
)

const resolveWait = 30 * time.Second

// nameServer answers questions about IPv4 addresses of good.test with addrs, of slow.test
// never, and says of all others that they don't exist (RFC 1035 section 4).
type nameServer struct {
	addr  netip.AddrPort
	asked atomic.Int32
}

func startNameServer(t *testing.T, addrs ...[4]byte) *nameServer {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s := &nameServer{addr: conn.LocalAddr().(*net.UDPAddr).AddrPort()}
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			s.asked.Add(1)
			if reply := answerTo(buf[:n], addrs); reply != nil {
				_, _ = conn.WriteToUDPAddrPort(reply, from)
			}
		}
	}()
	return s
}

func answerTo(query []byte, addrs [][4]byte) []byte {
	const head = 12
	end := head + bytes.IndexByte(query[head:], 0) + 5
	question := query[head:end]
	switch {
	case bytes.Contains(question, []byte("slow")):
		return nil
	case !bytes.Contains(question, []byte("good")):
		return append([]byte{query[0], query[1], 0x81, 0x83, 0, 1, 0, 0, 0, 0, 0, 0}, question...)
	}
	isA := question[len(question)-3] == 1
	if !isA {
		addrs = nil
	}
	reply := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, byte(len(addrs)), 0, 0, 0, 0}, question...)
	for _, a := range addrs {
		reply = append(reply, 0xc0, head, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, a[0], a[1], a[2], a[3])
	}
	return reply
}

type resolved struct {
	addrs  []netip.Addr
	status upstream.ResolveStatus
}

func resolve(t *testing.T, r *upstream.Resolver, name string) resolved {
	t.Helper()
	result := make(chan resolved, 1)
	if !r.Resolve(name, func(addrs []netip.Addr, status upstream.ResolveStatus) { result <- resolved{addrs, status} }) {
		t.Fatal("refused")
	}
	select {
	case got := <-result:
		return got
	case <-time.After(resolveWait):
		t.Fatal("no answer")
		return resolved{}
	}
}

func TestResolver(t *testing.T) {
	server := startNameServer(t, [4]byte{192, 0, 2, 1}, [4]byte{192, 0, 2, 2})
	r := upstream.NewResolver(upstream.ResolverOptions{Servers: []netip.AddrPort{server.addr}, Timeout: resolveWait, Valid: time.Hour})
	want := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")}
	got := resolve(t, r, "good.test")
	slices.SortFunc(got.addrs, netip.Addr.Compare)
	if got.status != upstream.Resolved || !slices.Equal(got.addrs, want) {
		t.Errorf("got %+v", got)
	}
	asked := server.asked.Load()
	if got := resolve(t, r, "good.test"); got.status != upstream.Resolved || server.asked.Load() != asked {
		t.Errorf("asked again: %+v", got)
	}
	if got := resolve(t, r, "bad.test"); got.status != upstream.ResolveNoName {
		t.Errorf("got %+v", got)
	}
	for _, name := range []string{"", "a b", "a\x00b", "1.2.3", "..", "[::1"} {
		if got := resolve(t, r, name); got.status == upstream.Resolved {
			t.Errorf("%q resolves to %+v", name, got)
		}
	}
}

func TestResolverTimesOut(t *testing.T) {
	server := startNameServer(t)
	r := upstream.NewResolver(upstream.ResolverOptions{Servers: []netip.AddrPort{server.addr}, Timeout: 10 * time.Millisecond})
	if got := resolve(t, r, "slow.test"); got.status != upstream.ResolveTimeout {
		t.Errorf("got %+v", got)
	}
}

// TestResolverIsBounded proves that lookups beyond the bound are refused at once, and that
// those under way come to an end.
func TestResolverIsBounded(t *testing.T) {
	server := startNameServer(t)
	r := upstream.NewResolver(upstream.ResolverOptions{Servers: []netip.AddrPort{server.addr}, Timeout: 2 * time.Second, NoIPv6: true})
	done := make(chan struct{}, 1000)
	begun := 0
	for range 1000 {
		if r.Resolve("slow.test", func([]netip.Addr, upstream.ResolveStatus) { done <- struct{}{} }) {
			begun++
		}
	}
	if begun == 1000 {
		t.Error("nothing was refused")
	}
	for range begun {
		select {
		case <-done:
		case <-time.After(resolveWait):
			t.Fatal("lookups hang")
		}
	}
}
