package e2e_test

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"holdfast/test/proc"
)

// connectBlock is a server that makes tunnels of CONNECT to wherever {{rules}} lets it.
const connectBlock = `
server {
    listen 127.0.0.1:{{port:front}};
    {{rules}}
    location / { tunnel_pass; }
}
`

// connects starts a holdfast that takes CONNECT by these rules, to all ports unless they
// say which.
func connects(t *testing.T, rules string) *proc.Proxy {
	t.Helper()
	if !strings.Contains(rules, "tunnel_allow_ports") {
		rules += " tunnel_allow_ports all;"
	}
	return holdfast(t, proc.Spec{HTTP: connectBlock, Vars: vars("rules", rules)})
}

// connect is a CONNECT to an authority.
func connect(authority string) string {
	return "CONNECT " + authority + " HTTP/1.1\r\nHost: " + authority + "\r\n\r\n"
}

// established opens a tunnel to an authority.
func established(t *testing.T, p *proc.Proxy, authority string) *proc.Raw {
	t.Helper()
	c := proc.Dial(t, p.Front())
	c.Send(connect(authority))
	head := c.Response(200)
	if head.Get("Content-Length") != "" || head.Get("Transfer-Encoding") != "" {
		t.Errorf("the answer to CONNECT declares a body: %q", head)
	}
	return c
}

// refused sends bytes and expects an answer of that status, and the end of the connection
// behind it.
func refused(t *testing.T, p *proc.Proxy, request string, status int) {
	t.Helper()
	c := proc.Try(p.Front())
	defer c.Close()
	c.Send(request)
	if head := c.Head(); head.Status() != status {
		t.Errorf("%q: answer %q, want %d", clipped(request), head.Start, status)
	} else {
		c.Body(head)
	}
	if c.ExpectEOF(); gone(c.Err()) != nil {
		t.Errorf("%q: %v", clipped(request), c.Err())
	}
}

func clipped(text string) string { return text[:min(len(text), 100)] }

// nameServer is a name server of a test (RFC 1035 section 4): UDP, addresses and SRV records.
type nameServer struct {
	addr string

	mu     sync.Mutex
	asked  []string
	answer func(name string, nth int) []netip.Addr
	// services are the SRV records of names.
	services map[string][][]byte
}

// silence is what a nameServer gives for a name that it does not answer about.
var silence = []netip.Addr{{}}

// serveNames answers about names, in lower case without a dot at the end; nth counts the
// questions of a name from 0, those for IPv4 and those for IPv6 apart. nil says that there
// is no such name.
func serveNames(t *testing.T, answer func(name string, nth int) []netip.Addr) *nameServer {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	s := &nameServer{addr: conn.LocalAddr().String(), answer: answer}
	go func() {
		buf := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if reply := s.reply(buf[:n]); reply != nil {
				_, _ = conn.WriteToUDPAddrPort(reply, from)
			}
		}
	}()
	return s
}

// questions are the names asked about so far.
func (s *nameServer) questions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.asked...)
}

func (s *nameServer) reply(query []byte) []byte {
	const head, typeA, typeAAAA = 12, 1, 28
	end := bytes.IndexByte(query[min(head, len(query)):], 0)
	if end < 0 || len(query) < head+end+5 {
		return nil
	}
	question := query[head : head+end+5]
	var labels []string
	for rest := question; rest[0] != 0; rest = rest[1+rest[0]:] {
		labels = append(labels, string(rest[1:1+rest[0]]))
	}
	name, kind := strings.ToLower(strings.Join(labels, ".")), int(question[end+2])
	s.mu.Lock()
	defer s.mu.Unlock()
	nth := 0
	for _, other := range s.asked {
		if other == fmt.Sprint(name, " ", kind) {
			nth++
		}
	}
	s.asked = append(s.asked, fmt.Sprint(name, " ", kind))
	all := s.answer(name, nth)
	var records []byte
	count := 0
	const typeSRV = 33
	for _, data := range s.services[name] {
		if all = []netip.Addr{}; kind == typeSRV {
			records = append(records, 0xc0, head, 0, byte(kind), 0, 1, 0, 0, 0, 0, 0, byte(len(data)))
			records = append(records, data...)
			count++
		}
	}
	if len(all) > 0 && !all[0].IsValid() {
		return nil
	}
	for _, a := range all {
		if a.Is4() && kind == typeA || a.Is6() && kind == typeAAAA {
			records = append(records, 0xc0, head, 0, byte(kind), 0, 1, 0, 0, 0, 0, 0, byte(len(a.AsSlice())))
			records = append(records, a.AsSlice()...)
			count++
		}
	}
	code := byte(0x80)
	if all == nil {
		code = 0x83
	}
	reply := []byte{query[0], query[1], 0x81, code, 0, 1, 0, byte(count), 0, 0, 0, 0}
	return append(append(reply, question...), records...)
}

func addrs(texts ...string) (list []netip.Addr) {
	for _, text := range texts {
		list = append(list, netip.MustParseAddr(text))
	}
	return list
}
