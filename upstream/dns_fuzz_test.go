package upstream

import (
	"encoding/binary"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// FuzzReply reads any message as the reply to a question: it must not panic, must stay within
// its bounds, and must take nothing whose id or question is another one.
func FuzzReply(f *testing.F) {
	name, _ := dnsName("a.test")
	other, _ := dnsName("b.test")
	kinds := []dnsmessage.Type{dnsmessage.TypeA, dnsmessage.TypeAAAA, dnsmessage.TypeSRV}
	for _, kind := range kinds {
		m := dnsmessage.Message{
			Header:    dnsmessage.Header{ID: 7, Response: true},
			Questions: []dnsmessage.Question{{Name: name, Type: kind, Class: dnsmessage.ClassINET}},
			Answers: []dnsmessage.Resource{
				{Header: dnsmessage.ResourceHeader{Name: name, Class: dnsmessage.ClassINET, TTL: 5}, Body: &dnsmessage.CNAMEResource{CNAME: other}},
				{Header: dnsmessage.ResourceHeader{Name: other, Class: dnsmessage.ClassINET, TTL: 9}, Body: &dnsmessage.AResource{A: [4]byte{1, 2, 3, 4}}},
				{Header: dnsmessage.ResourceHeader{Name: other, Class: dnsmessage.ClassINET}, Body: &dnsmessage.AAAAResource{}},
				{Header: dnsmessage.ResourceHeader{Name: other, Class: dnsmessage.ClassINET}, Body: &dnsmessage.SRVResource{Port: 80, Target: name}},
			},
			Authorities: []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: other, Class: dnsmessage.ClassINET},
				Body: &dnsmessage.SOAResource{NS: name, MBox: name, MinTTL: 3}}},
		}
		msg, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(msg, uint8(0))
		f.Add(msg[:len(msg)-5], uint8(1))
	}
	f.Fuzz(func(t *testing.T, msg []byte, kind uint8) {
		q := question{name, kinds[int(kind)%len(kinds)]}
		got, ok := parseReply(msg, 7, q)
		if !ok {
			return
		}
		if binary.BigEndian.Uint16(msg) != 7 || msg[2]&0x80 == 0 {
			t.Error("a message with another id, or a question, was taken")
		}
		if len(got.addrs) > addrsMax || len(got.services) > addrsMax {
			t.Errorf("%d addresses, %d services", len(got.addrs), len(got.services))
		}
		if len(got.addrs) > 0 && q.kind == dnsmessage.TypeSRV || len(got.services) > 0 && q.kind != dnsmessage.TypeSRV {
			t.Error("an answer to another question")
		}
		if got.code != dnsmessage.RCodeSuccess && got.code != dnsmessage.RCodeNameError && len(got.addrs)+len(got.services) > 0 {
			t.Errorf("addresses with code %v", got.code)
		}
	})
}
