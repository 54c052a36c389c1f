package upstream_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// asked is a question as a nameServer sees it: nth counts those for the same name and type,
// from 0 on.
type asked struct {
	name string
	kind dnsmessage.Type
	tcp  bool
	nth  int
}

// said is what a nameServer replies: nothing if silent. forged are sent before it.
type said struct {
	silent    bool
	code      dnsmessage.RCode
	truncated bool
	records   []dnsmessage.Resource
	forged    []forgery
}

// forgery is a reply that must not be taken for one.
type forgery struct {
	name      string           // of the question, if it is another one
	id        uint16           // added to the right one
	elsewhere bool             // from another port
	question  bool             // it is no reply at all
	addr      string           // what it says
	kind      dnsmessage.Type  // of the question, if it is another one
	class     dnsmessage.Class // the same
}

// nameServer answers over UDP and TCP on one port.
type nameServer struct {
	addr   netip.AddrPort
	answer func(asked) said

	mu   sync.Mutex
	seen map[asked]int // with nth 0
	ids  map[uint16]int
	from map[uint16]int // ports
}

// startNameServer listens at the address, or at any port.
func startNameServer(t *testing.T, answer func(asked) said) *nameServer {
	t.Helper()
	for range 20 {
		udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			t.Fatal(err)
		}
		addr := udp.LocalAddr().(*net.UDPAddr).AddrPort()
		tcp, err := net.Listen("tcp4", addr.String())
		if err != nil {
			udp.Close() // someone has that port of TCP
			continue
		}
		s := &nameServer{addr: addr, answer: answer, seen: map[asked]int{}, ids: map[uint16]int{}, from: map[uint16]int{}}
		t.Cleanup(func() { udp.Close(); tcp.Close() })
		go s.serveUDP(udp)
		go s.serveTCP(tcp)
		return s
	}
	t.Fatal("no port is free for both protocols")
	return nil
}

func (s *nameServer) serveUDP(conn *net.UDPConn) {
	buf := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		q := parseQuestion(buf[:n])
		s.mu.Lock()
		s.ids[q.id]++
		s.from[from.Port()]++
		s.mu.Unlock()
		say := s.say(q.Question, false)
		for _, f := range say.forged {
			msg := f.message(q)
			if f.elsewhere {
				if other, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(from)); err == nil {
					_, _ = other.Write(msg)
					other.Close()
				}
				continue
			}
			_, _ = conn.WriteToUDPAddrPort(msg, from)
		}
		if !say.silent {
			_, _ = conn.WriteToUDPAddrPort(say.message(q), from)
		}
	}
}

func (s *nameServer) serveTCP(ln net.Listener) {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			var size [2]byte
			if _, err := io.ReadFull(conn, size[:]); err != nil {
				return
			}
			buf := make([]byte, binary.BigEndian.Uint16(size[:]))
			if _, err := io.ReadFull(conn, buf); err != nil {
				return
			}
			q := parseQuestion(buf)
			if say := s.say(q.Question, true); !say.silent {
				msg := say.message(q)
				_, _ = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(msg))), msg...))
			}
		}()
	}
}

func (s *nameServer) say(q dnsmessage.Question, tcp bool) said {
	ask := asked{name: strings.TrimSuffix(q.Name.String(), "."), kind: q.Type, tcp: tcp}
	s.mu.Lock()
	nth := s.seen[ask]
	s.seen[ask]++
	s.mu.Unlock()
	ask.nth = nth
	return s.answer(ask)
}

// count is how often a name was asked about, whatever the type, over one protocol or both.
func (s *nameServer) count(name string, protocols ...bool) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ask, times := range s.seen {
		if ask.name == name && (len(protocols) == 0 || ask.tcp == protocols[0]) {
			n += times
		}
	}
	return n
}

type identified struct {
	dnsmessage.Question
	id uint16
}

func parseQuestion(msg []byte) identified {
	var p dnsmessage.Parser
	head, err := p.Start(msg)
	if err != nil {
		panic(err)
	}
	q, err := p.Question()
	if err != nil {
		panic(err)
	}
	return identified{q, head.ID}
}

func (s *said) message(q identified) []byte {
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: q.id, Response: true, RecursionAvailable: true, RCode: s.code, Truncated: s.truncated},
		Questions: []dnsmessage.Question{q.Question},
	}
	for _, r := range s.records {
		if r.Header.Type == dnsmessage.TypeSOA {
			m.Authorities = append(m.Authorities, r)
		} else {
			m.Answers = append(m.Answers, r)
		}
	}
	return packed(&m)
}

func (f *forgery) message(q identified) []byte {
	m := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: q.id + f.id, Response: !f.question},
		Questions: []dnsmessage.Question{q.Question},
	}
	if f.name != "" {
		m.Questions[0].Name = dnsmessage.MustNewName(f.name + ".")
	}
	if f.kind != 0 {
		m.Questions[0].Type = f.kind
	}
	if f.class != 0 {
		m.Questions[0].Class = f.class
	}
	m.Answers = address(strings.TrimSuffix(q.Name.String(), "."), 60, f.addr)
	return packed(&m)
}

func packed(m *dnsmessage.Message) []byte {
	msg, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return msg
}

func header(name string, kind dnsmessage.Type, ttl uint32) dnsmessage.ResourceHeader {
	return dnsmessage.ResourceHeader{Name: dnsmessage.MustNewName(name + "."), Type: kind, Class: dnsmessage.ClassINET, TTL: ttl}
}

// address makes records of the addresses of a name.
func address(name string, ttl uint32, addrs ...string) (records []dnsmessage.Resource) {
	for _, text := range addrs {
		a := netip.MustParseAddr(text)
		if a.Is4() {
			records = append(records, dnsmessage.Resource{Header: header(name, dnsmessage.TypeA, ttl), Body: &dnsmessage.AResource{A: a.As4()}})
		} else {
			records = append(records,
				dnsmessage.Resource{Header: header(name, dnsmessage.TypeAAAA, ttl), Body: &dnsmessage.AAAAResource{AAAA: a.As16()}})
		}
	}
	return records
}

func aliasOf(name, target string, ttl uint32) dnsmessage.Resource {
	return dnsmessage.Resource{Header: header(name, dnsmessage.TypeCNAME, ttl),
		Body: &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(target + ".")}}
}

func service(name string, ttl uint32, priority, weight, port uint16, target string) dnsmessage.Resource {
	return dnsmessage.Resource{Header: header(name, dnsmessage.TypeSRV, ttl),
		Body: &dnsmessage.SRVResource{Priority: priority, Weight: weight, Port: port, Target: dnsmessage.MustNewName(target + ".")}}
}

// authority is the record that says how long there is nothing.
func authority(minimum uint32) dnsmessage.Resource {
	return dnsmessage.Resource{Header: header("test", dnsmessage.TypeSOA, 3600), Body: &dnsmessage.SOAResource{
		NS: dnsmessage.MustNewName("ns.test."), MBox: dnsmessage.MustNewName("who.test."), MinTTL: minimum,
	}}
}

// only answers questions of one type with records, and others with none.
func only(kind dnsmessage.Type, q asked, records ...dnsmessage.Resource) said {
	if q.kind != kind {
		return said{}
	}
	return said{records: records}
}
