package upstream

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	// resendAfter is how long one name server has before the next is asked, as in nginx.
	resendAfter = 5 * time.Second
	// renamesMax bounds the questions that aliases (CNAME) lead on to.
	renamesMax = 8
	// datagramMax is more than a name server sends to who has not said how much it takes
	// (RFC 1035 section 4.2.1: 512 bytes).
	datagramMax = 4096
)

// inquiry is one question until somebody has answered it.
type inquiry struct {
	question
	id      uint16
	heard   bool // in this try
	done    bool
	renames int
	ttl     uint32 // the least of the aliases followed so far
	reply   reply
	code    dnsmessage.RCode // of the last server that could not say; 0: none has answered
}

// inquire asks the name servers in turn until every question has its answer, a whole round
// of them could not say, or the time is over.
func (r *Resolver) inquire(list []*inquiry, deadline time.Time) {
	servers := r.options.Servers
	first := int(r.turn.Add(1))
	silent := false // somebody did not answer in this round
	for n := 0; ; n++ {
		pending := open(list)
		now := time.Now()
		if len(pending) == 0 || !now.Before(deadline) {
			return
		}
		if n == len(servers) {
			if !silent || len(pending) < len(list) && answered(list) {
				return
			}
			n, silent = 0, false
		}
		until := now.Add(min(resendAfter, r.options.Timeout/time.Duration(len(servers)+1)))
		if until.After(deadline) {
			until = deadline
		}
		heard, renamed := r.try(servers[(first+n)%len(servers)], pending, until)
		if renamed {
			n, silent = -1, false
		}
		silent = silent || !heard
	}
}

func open(list []*inquiry) (pending []*inquiry) {
	for _, q := range list {
		if !q.done {
			pending = append(pending, q)
		}
	}
	return pending
}

func answered(list []*inquiry) bool {
	for _, q := range list {
		if len(q.reply.addrs)+len(q.reply.services) > 0 {
			return true
		}
	}
	return false
}

// try asks one name server all questions over UDP, and those again over TCP whose reply is
// too long for that. heard reports whether there was an answer of any kind for each;
// renamed, that one of them goes on under another name.
func (r *Resolver) try(server netip.AddrPort, list []*inquiry, until time.Time) (heard, renamed bool) {
	refused := r.tryUDP(server, list, until)
	heard = true
	for _, q := range list {
		if q.heard && q.reply.truncated {
			q.heard = r.tryTCP(server, q, until)
		}
		if !q.heard {
			heard = heard && refused
			if refused {
				q.code = dnsmessage.RCodeServerFailure
				r.stats.failures.Add(1)
			} else {
				r.stats.timeouts.Add(1)
			}
			continue
		}
		r.stats.answers.Add(1)
		renamed = r.take(q) || renamed
	}
	return heard, renamed
}

// take judges the reply of one server. It reports whether the question has become one about
// another name.
func (r *Resolver) take(q *inquiry) (renamed bool) {
	switch q.reply.code {
	case dnsmessage.RCodeSuccess, dnsmessage.RCodeNameError:
	default:
		q.code = q.reply.code
		r.stats.failures.Add(1)
		return false
	}
	next := q.reply.next
	if next != nil && q.renames < renamesMax {
		q.ttl = min(q.ttl, q.reply.ttl)
		q.renames++
		q.name = *next
		return true
	}
	q.reply.ttl = min(q.ttl, q.reply.ttl)
	q.done = true
	return false
}

// tryUDP asks on a socket of its own, so that the kernel chooses a new random port and drops
// what others send (RFC 5452 section 9.2). refused reports that nobody listens at the server.
func (r *Resolver) tryUDP(server netip.AddrPort, list []*inquiry, until time.Time) (refused bool) {
	for _, q := range list {
		q.heard = false
	}
	conn, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(server))
	if err != nil {
		return true
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(until)
	for _, q := range list {
		q.id = randomID()
		msg, err := appendQuery(nil, q.id, q.question)
		if err != nil {
			return true
		}
		r.stats.questions.Add(1)
		if _, err := conn.Write(msg); err != nil {
			return true
		}
	}
	buf := make([]byte, datagramMax)
	for missing := len(list); missing > 0; {
		n, err := conn.Read(buf)
		if err != nil {
			var timeout net.Error
			return !errors.As(err, &timeout) || !timeout.Timeout()
		}
		for _, q := range list {
			if q.heard {
				continue
			}
			if q.reply, q.heard = parseReply(buf[:n], q.id, q.question); q.heard {
				missing--
				break
			}
		}
	}
	return false
}

// tryTCP asks once more on a connection (RFC 7766). It reports whether there was an answer.
func (r *Resolver) tryTCP(server netip.AddrPort, q *inquiry, until time.Time) bool {
	dialer := net.Dialer{Deadline: until}
	conn, err := dialer.Dial("tcp", server.String())
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(until)
	q.id = randomID()
	msg, err := appendQuery([]byte{0, 0}, q.id, q.question)
	if err != nil {
		return false
	}
	binary.BigEndian.PutUint16(msg, uint16(len(msg)-2))
	r.stats.questions.Add(1)
	if _, err := conn.Write(msg); err != nil {
		return false
	}
	var size [2]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return false
	}
	msg = make([]byte, binary.BigEndian.Uint16(size[:]))
	if _, err := io.ReadFull(conn, msg); err != nil {
		return false
	}
	answer, ok := parseReply(msg, q.id, q.question)
	if ok && answer.truncated { // there is no longer way to say it
		answer = reply{code: dnsmessage.RCodeFormatError}
	}
	if ok {
		q.reply = answer
	}
	return ok
}

// randomID is what only who sees the question can know, together with the port.
func randomID() uint16 {
	var b [2]byte
	_, _ = rand.Read(b[:]) // never fails
	return binary.BigEndian.Uint16(b[:])
}
