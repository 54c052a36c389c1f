package upstream

import (
	"errors"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// recordsMax bounds the records of one message that are looked at.
	recordsMax = 1024
	// addrsMax bounds the addresses of one name that are used.
	addrsMax = 256
	// aliasesMax bounds the aliases (CNAME) that are followed within one message.
	aliasesMax = 16
	// nameBytesMax is the length of a name without its last dot (RFC 1035 section 2.3.4).
	nameBytesMax = 253
)

// question is what a name server is asked: one name, one type, class IN.
type question struct {
	name dnsmessage.Name
	kind dnsmessage.Type
}

// reply is what a message says about a question.
type reply struct {
	code      dnsmessage.RCode
	truncated bool
	addrs     []netip.Addr
	services  []serviceRecord
	// next is the end of a chain of aliases about which the message says nothing more; nil
	// if there is none.
	next *dnsmessage.Name
	// ttl is the least of the records used, in seconds. Of a reply without records it is how
	// long there are none (RFC 2308 section 5), 0 if the message does not say.
	ttl uint32
}

// serviceRecord is an SRV record (RFC 2782).
type serviceRecord struct {
	target                 string
	port, priority, weight uint16
}

// dnsName makes the name of a question: letters in lower case, with the dot at its end that
// keeps search domains out. ok is false for what no host is called.
func dnsName(text string) (name dnsmessage.Name, ok bool) {
	text = strings.TrimSuffix(text, ".")
	if text == "" || len(text) > nameBytesMax {
		return name, false
	}
	if strings.Trim(text, "0123456789.") == "" { // an address in another notation than ours, such as 127.1
		return name, false
	}
	for label := range strings.SplitSeq(text, ".") {
		if label == "" || len(label) > 63 {
			return name, false
		}
		for i := range len(label) {
			c := label[i]
			alphanumeric := c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
			if !alphanumeric && c != '-' && c != '_' {
				return name, false
			}
		}
	}
	name, err := dnsmessage.NewName(strings.ToLower(text) + ".")
	return name, err == nil
}

// appendQuery appends the message that asks q, recursion desired.
func appendQuery(dst []byte, id uint16, q question) ([]byte, error) {
	b := dnsmessage.NewBuilder(dst, dnsmessage.Header{ID: id, RecursionDesired: true})
	if err := b.StartQuestions(); err != nil {
		return nil, err
	}
	err := b.Question(dnsmessage.Question{Name: q.name, Type: q.kind, Class: dnsmessage.ClassINET})
	if err != nil {
		return nil, err
	}
	return b.Finish()
}

// parseReply reads the reply to q with that id. ok is false if msg is not that: it has
// another id or question, or is a question itself (RFC 5452 section 9.1). One that is broken
// behind its question is a reply with the code of a format error.
func parseReply(msg []byte, id uint16, q question) (result reply, ok bool) {
	var p dnsmessage.Parser
	head, err := p.Start(msg)
	if err != nil || head.ID != id || !head.Response || head.OpCode != 0 {
		return result, false
	}
	asked, err := p.Question()
	if err != nil || asked.Type != q.kind || asked.Class != dnsmessage.ClassINET || !sameName(&asked.Name, &q.name) {
		return result, false
	}
	if _, err := p.Question(); !errors.Is(err, dnsmessage.ErrSectionDone) {
		return result, false
	}
	result.code, result.truncated = head.RCode, head.Truncated
	if head.Truncated || head.RCode != dnsmessage.RCodeSuccess && head.RCode != dnsmessage.RCodeNameError {
		return result, true
	}
	var found records
	if !found.read(&p) {
		return reply{code: dnsmessage.RCodeFormatError}, true
	}
	found.answer(&result, q)
	return result, true
}

// sameName compares names as DNS does: without regard to the case of letters.
func sameName(a, b *dnsmessage.Name) bool {
	return strings.EqualFold(string(a.Data[:a.Length]), string(b.Data[:b.Length]))
}

// records are those of a message that can matter.
type records struct {
	aliases  []alias
	addrs    []addrRecord
	services []ownedService
	negative uint32 // from the SOA record in the authority section; 0: there is none
}

type alias struct {
	owner, target dnsmessage.Name
	ttl           uint32
}

type addrRecord struct {
	owner dnsmessage.Name
	kind  dnsmessage.Type
	addr  netip.Addr
	ttl   uint32
}

type ownedService struct {
	serviceRecord
	owner dnsmessage.Name
	ttl   uint32
}

// read collects the answer section and the start of authority. It reports whether the
// message is sound as far as it looked.
func (f *records) read(p *dnsmessage.Parser) bool {
	for range recordsMax {
		head, err := p.AnswerHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return f.readAuthority(p)
		}
		if int32(head.TTL) < 0 { // RFC 2181 section 8
			head.TTL = 0
		}
		if err != nil || !f.readAnswer(p, &head) {
			return false
		}
	}
	return false
}

func (f *records) readAnswer(p *dnsmessage.Parser, head *dnsmessage.ResourceHeader) bool {
	if head.Class != dnsmessage.ClassINET {
		return p.SkipAnswer() == nil
	}
	switch head.Type {
	case dnsmessage.TypeA:
		r, err := p.AResource()
		if err != nil {
			return false
		}
		f.addrs = append(f.addrs, addrRecord{head.Name, head.Type, netip.AddrFrom4(r.A), head.TTL})
	case dnsmessage.TypeAAAA:
		r, err := p.AAAAResource()
		if err != nil {
			return false
		}
		f.addrs = append(f.addrs, addrRecord{head.Name, head.Type, netip.AddrFrom16(r.AAAA).Unmap(), head.TTL})
	case dnsmessage.TypeCNAME:
		r, err := p.CNAMEResource()
		if err != nil {
			return false
		}
		f.aliases = append(f.aliases, alias{head.Name, r.CNAME, head.TTL})
	case dnsmessage.TypeSRV:
		r, err := p.SRVResource()
		if err != nil {
			return false
		}
		s := serviceRecord{target: r.Target.String(), port: r.Port, priority: r.Priority, weight: r.Weight}
		f.services = append(f.services, ownedService{s, head.Name, head.TTL})
	default:
		return p.SkipAnswer() == nil
	}
	return true
}

// readAuthority looks for the SOA record that says how long there is nothing.
func (f *records) readAuthority(p *dnsmessage.Parser) bool {
	for range recordsMax {
		head, err := p.AuthorityHeader()
		if errors.Is(err, dnsmessage.ErrSectionDone) {
			return true
		}
		if err != nil {
			return false
		}
		if head.Type != dnsmessage.TypeSOA {
			if p.SkipAuthority() != nil {
				return false
			}
			continue
		}
		soa, err := p.SOAResource()
		if err != nil {
			return false
		}
		f.negative = min(head.TTL, soa.MinTTL)
	}
	return false
}

// answer follows the aliases from the question's name to records of its type.
func (f *records) answer(to *reply, q question) {
	name, least := q.name, ^uint32(0)
	for range aliasesMax {
		for i := range f.addrs {
			a := &f.addrs[i]
			known := slices.Contains(to.addrs, a.addr)
			if a.kind == q.kind && !known && len(to.addrs) < addrsMax && sameName(&a.owner, &name) {
				to.addrs, least = append(to.addrs, a.addr), min(least, a.ttl)
			}
		}
		for i := range f.services {
			s := &f.services[i]
			if q.kind == dnsmessage.TypeSRV && len(to.services) < addrsMax && sameName(&s.owner, &name) {
				to.services, least = append(to.services, s.serviceRecord), min(least, s.ttl)
			}
		}
		if len(to.addrs)+len(to.services) > 0 {
			to.ttl = least
			return
		}
		at := slices.IndexFunc(f.aliases, func(a alias) bool { return sameName(&a.owner, &name) })
		if at < 0 {
			break
		}
		name, least = f.aliases[at].target, min(least, f.aliases[at].ttl)
	}
	to.ttl = f.negative
	if to.code == dnsmessage.RCodeSuccess && f.negative == 0 && !sameName(&name, &q.name) {
		to.next, to.ttl = &name, least
	}
}
