package tlsio_test

import (
	"bytes"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"holdfast/internal/sys"
	"holdfast/pool"
	"holdfast/tlsio"
	"holdfast/tlsio/info"
)

// eachSuite runs f for every suite.
func eachSuite(t *testing.T, f func(t *testing.T, s suite)) {
	for _, s := range suites {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			f(t, s)
		})
	}
}

// TestWriteWhatTheSocketRefuses: what was taken comes whole and in order, nothing is taken
// while records are pending, and close_notify stands behind them.
func TestWriteWhatTheSocketRefuses(t *testing.T) {
	eachSuite(t, func(t *testing.T, s suite) {
		r := newRig(t, s, false)
		defer r.close()
		b := bytes.Repeat([]byte("0123456789"), 50_000)
		n, errno := r.layer.Write(r.id, r.fd, b)
		if n == 0 || n == len(b) || errno != 0 || !r.layer.Pending(r.id) {
			t.Fatalf("%d of %d, %v", n, len(b), errno)
		}
		if m, errno := r.layer.Write(r.id, r.fd, b[n:]); m != 0 || errno != sys.EAGAIN {
			t.Fatalf("while records are pending: %d, %v", m, errno)
		}
		if errno := r.layer.CloseNotify(r.id, r.fd); errno != sys.EAGAIN {
			t.Fatalf("close_notify: %v", errno)
		}
		if errno := r.layer.Flush(r.id, r.fd); errno != sys.EAGAIN {
			t.Fatalf("flush: %v", errno)
		}
		r.pull()
		for r.layer.CloseNotify(r.id, r.fd) == sys.EAGAIN {
			r.pull()
		}
		if r.layer.Pending(r.id) || r.layer.Flush(r.id, r.fd) != 0 {
			t.Error("records are pending")
		}
		var got []byte
		for {
			typ, plain, ok := r.read()
			if !ok {
				t.Fatal("no close_notify")
			}
			if typ == typeAlert {
				if !bytes.Equal(plain, []byte{1, 0}) {
					t.Errorf("alert %x", plain)
				}
				break
			}
			if len(plain) > 1<<14 {
				t.Errorf("a record of %d bytes", len(plain))
			}
			got = append(got, plain...)
		}
		if !bytes.Equal(got, b[:n]) {
			t.Errorf("%d bytes came, %d were taken", len(got), n)
		}
		if _, errno := r.layer.Write(r.id, r.fd, b); errno != sys.EPIPE {
			t.Errorf("after close_notify: %v", errno)
		}
	})
}

// TestLittleIsHeldAtTheLimit: while the buffers are at their limit one write leaves one
// record pending at most, and reading goes on.
func TestLittleIsHeldAtTheLimit(t *testing.T) {
	eachSuite(t, func(t *testing.T, s suite) {
		r := newRig(t, s, false)
		defer r.close()
		full, _ := r.bufs.Get(64 << 20)
		if !r.layer.Full() {
			t.Fatal("not full")
		}
		_, before := r.bufs.Lent()
		b := make([]byte, 500_000)
		n, errno := r.layer.Write(r.id, r.fd, b)
		if _, after := r.bufs.Lent(); n == 0 || errno != 0 || after-before > 32<<10 {
			t.Errorf("%d, %v; %d bytes are held", n, errno, after-before)
		}
		r.data(large)
		r.data("the end")
		var got []byte
		for range 4 {
			n, errno := r.layer.Recv(r.id, r.fd, b[:4096])
			if errno != 0 {
				t.Fatal(errno)
			}
			if _, after := r.bufs.Lent(); after-before > 64<<10 {
				t.Errorf("%d bytes are held", after-before)
			}
			got = append(got, b[:n]...)
		}
		more, _ := r.recv(4096)
		if string(append(got, more...)) != large+"the end" {
			t.Error("not what was sent")
		}
		r.bufs.Put(full)
	})
}

// TestKeyUpdateIsAnswered: once, before the next data, under the old key; and a request
// comes to nothing for who never writes.
func TestKeyUpdateIsAnswered(t *testing.T) {
	for _, s := range suites[:3] {
		r := newRig(t, s, false)
		w := &wire{t: t, out: r.out}
		w.keyUpdate(1)
		w.keyUpdate(0)
		w.keyUpdate(1)
		w.data("a")
		r.raw(w.b)
		if got, _ := r.recv(100); string(got) != "a" {
			t.Fatalf("%q, %s", got, r.layer.Problem())
		}
		if _, _, ok := r.read(); ok {
			t.Error("an answer without data")
		}
		for _, want := range []string{"b", "c"} {
			r.layer.Write(r.id, r.fd, []byte(want))
			typ, plain, _ := r.read()
			if want == "b" {
				if typ != typeHandshake || !bytes.Equal(plain, []byte{24, 0, 0, 1, 0}) {
					t.Fatalf("the answer is %d: %x", typ, plain)
				}
				r.in.next(t)
				typ, plain, _ = r.read()
			}
			if typ != typeData || string(plain) != want {
				t.Errorf("%d: %q", typ, plain)
			}
		}
		r.close()
	}
}

// TestKeysAreReplaced after as many records as one may seal (RFC 8446 section 5.5).
func TestKeysAreReplaced(t *testing.T) {
	for _, s := range suites[:3] {
		r := newRig(t, s, true)
		r.layer.LimitsForTest(3, 3)
		var got, want []byte
		updates := 0
		for i := range 10 {
			b := bytes.Repeat([]byte{byte('a' + i)}, 1+i*6000)
			want = append(want, b...)
			if n, errno := r.layer.Write(r.id, r.fd, b); n != len(b) || errno != 0 {
				t.Fatal(n, errno)
			}
			for {
				typ, plain, ok := r.read()
				if !ok {
					break
				}
				if typ == typeHandshake {
					if r.in.next(t); !bytes.Equal(plain, []byte{24, 0, 0, 1, 0}) {
						t.Errorf("%x", plain)
					}
					updates++
					continue
				}
				if got = append(got, plain...); r.in.seq > 3 {
					t.Fatalf("record %d under one key", r.in.seq)
				}
			}
		}
		if !bytes.Equal(got, want) || updates < 5 {
			t.Errorf("%d bytes of %d, %d KeyUpdates", len(got), len(want), updates)
		}
		r.close()
	}
}

// TestTLS12EndsAtItsLimit, since its keys can't be replaced.
func TestTLS12EndsAtItsLimit(t *testing.T) {
	const reason = "too many records under one key (alert sent)"
	for _, s := range suites[3:] {
		r := newRig(t, s, true)
		r.layer.LimitsForTest(1, 3) // the first record has number 1
		for i, want := range []sys.Errno{0, 0, sys.EBADMSG, sys.EBADMSG} {
			if _, errno := r.layer.Write(r.id, r.fd, []byte("a")); errno != want {
				t.Errorf("write %d: %v", i, errno)
			}
		}
		r.read()
		r.read()
		if typ, plain, _ := r.read(); typ != typeAlert || !bytes.Equal(plain, []byte{2, 80}) || r.layer.Problem() != reason {
			t.Errorf("%d: %x, %s", typ, plain, r.layer.Problem())
		}
		r.close()

		r = newRig(t, s, true)
		r.layer.LimitsForTest(1, 3)
		many(3, func() { r.data("a") })
		if got, errno := r.recv(100); string(got) != "aa" || errno != sys.EBADMSG || r.layer.Problem() != reason {
			t.Errorf("%q, %v, %s", got, errno, r.layer.Problem())
		}
		r.close()
	}
}

// TestUnread: what is given back comes first, whatever else is held.
func TestUnread(t *testing.T) {
	eachSuite(t, func(t *testing.T, s suite) {
		r := newRig(t, s, false)
		defer r.close()
		l := r.layer
		b := make([]byte, 50)
		r.data("0123456789")
		r.data("abcdef")
		r.raw([]byte{23, 3}) // and a record's beginning
		l.Unread(r.id, []byte("before "))
		if l.Buffered(r.id) != 7 || !l.Ready(r.id) || l.AtEnd(r.id, r.fd) {
			t.Error("not buffered")
		}
		step := func(size int, want string) {
			t.Helper()
			if n, errno := l.Recv(r.id, r.fd, b[:size]); string(b[:n]) != want || errno != 0 {
				t.Fatalf("%q, %v; want %q", b[:n], errno, want)
			}
		}
		step(3, "bef")
		step(5, "ore 0")
		if l.Buffered(r.id) != 9 {
			t.Errorf("%d are buffered", l.Buffered(r.id))
		}
		step(3, "123")
		l.Unread(r.id, []byte("23"))
		l.Unread(r.id, []byte(large))
		l.Unread(r.id, nil)
		big := make([]byte, len(large))
		if n, _ := l.Recv(r.id, r.fd, big); string(big[:n]) != large {
			t.Error("a large piece is not what it was")
		}
		step(50, "23456789abcdef")
		if n, errno := l.Recv(r.id, r.fd, b); n != 0 || errno != sys.EAGAIN || l.Ready(r.id) {
			t.Errorf("%d, %v", n, errno)
		}
		r.hangUp()
		l.Unread(r.id, []byte("last"))
		if n, _ := l.Recv(r.id, r.fd, b[:2]); n != 2 || l.AtEnd(r.id, r.fd) {
			t.Error("at the end too early")
		}
		step(10, "st")
		if !l.AtEnd(r.id, r.fd) || !l.Truncated(r.id) {
			t.Error("not at the end")
		}
		l.Unread(r.id, []byte("behind the end"))
		step(50, "behind the end")
		if n, errno := l.Recv(r.id, r.fd, b); n != 0 || errno != 0 {
			t.Errorf("%d, %v", n, errno)
		}
	})
}

// TestAtEnd reads no further than it has to and loses nothing.
func TestAtEnd(t *testing.T) {
	eachSuite(t, func(t *testing.T, s suite) {
		r := newRig(t, s, false)
		defer r.close()
		l := r.layer
		if l.AtEnd(r.id, r.fd) {
			t.Error("at once")
		}
		r.data("")
		r.data("")
		r.data("abc")
		r.data(large)
		if l.AtEnd(r.id, r.fd) || l.Buffered(r.id) != 3 || l.AtEnd(r.id, r.fd) {
			t.Errorf("%d are buffered", l.Buffered(r.id))
		}
		if got, _ := r.recv(1000); string(got) != "abc"+large {
			t.Error("not what was sent")
		}
		r.data("")
		r.raw(r.out.seal(typeAlert, []byte{1, 0}, 0))
		if !l.AtEnd(r.id, r.fd) || l.Truncated(r.id) || l.Buffered(r.id) != 0 {
			t.Error("close_notify is not seen")
		}
	})
}

// TestSocketErrors: a reset is reported when what came before it is read, and for good.
func TestSocketErrors(t *testing.T) {
	r := newRig(t, suites[0], false)
	r.layer.Write(r.id, r.fd, []byte("nobody reads this"))
	r.data("abc")
	r.hangUp() // with unread data: a reset
	b := make([]byte, 10)
	n, errno := r.layer.Recv(r.id, r.fd, b)
	if string(b[:n]) != "abc" && errno != sys.ECONNRESET {
		t.Errorf("%q, %v", b[:n], errno)
	}
	for range 2 {
		if n, errno = r.layer.Recv(r.id, r.fd, b); n != 0 || errno != sys.ECONNRESET {
			t.Errorf("%d, %v", n, errno)
		}
		if _, errno := r.layer.Write(r.id, r.fd, b); errno != sys.ECONNRESET {
			t.Errorf("write: %v", errno)
		}
	}
	r.close()

	r = newRig(t, suites[0], false)
	unix.Shutdown(int(r.fd), unix.SHUT_WR)
	for range 2 {
		if n, errno := r.layer.Write(r.id, r.fd, make([]byte, 100_000)); n != 0 || errno != sys.EPIPE {
			t.Errorf("%d, %v", n, errno)
		}
	}
	r.data("still there")
	if got, errno := r.recv(100); string(got) != "still there" || errno != sys.EAGAIN {
		t.Errorf("%q, %v", got, errno)
	}
	r.close()
}

// TestAlertBehindPendingRecords is sent behind them, or not at all: it would have to be
// waited for.
func TestAlertBehindPendingRecords(t *testing.T) {
	for _, room := range []bool{false, true} {
		r := newRig(t, suites[0], false)
		n, _ := r.layer.Write(r.id, r.fd, make([]byte, 1<<20))
		want := "unexpected record type (alert not sent)"
		if room {
			r.pull()
			want = "unexpected record type (alert sent)"
		}
		r.raw([]byte("GET / HTTP/1.1\r\n"))
		if _, errno := r.recv(100); errno != sys.EBADMSG || r.layer.Problem() != want {
			t.Errorf("%v, %q", errno, r.layer.Problem())
		}
		if r.layer.Pending(r.id) || r.layer.Flush(r.id, r.fd) != 0 {
			t.Error("records are pending")
		}
		for room {
			typ, plain, ok := r.read()
			if n -= len(plain); typ == typeAlert {
				if n != -2 {
					t.Errorf("the alert stands %d bytes before the end", n)
				}
				break
			}
			if !ok {
				t.Fatal("no alert")
			}
		}
		r.close()
	}
}

// TestNothingBehindCloseNotify: there is no key any more to seal an alert with, and no
// KeyUpdate is answered.
func TestNothingBehindCloseNotify(t *testing.T) {
	eachSuite(t, func(t *testing.T, s suite) {
		r := newRig(t, s, false)
		if errno := r.layer.CloseNotify(r.id, r.fd); errno != 0 {
			t.Fatal(errno)
		}
		w := &wire{t: t, out: r.out}
		if s.tls13() {
			w.keyUpdate(1)
		}
		w.data("a")
		w.add([]byte("garbage"))
		r.raw(w.b)
		if got, errno := r.recv(100); string(got) != "a" || errno != sys.EBADMSG ||
			r.layer.Problem() != "unexpected record type (alert not sent)" {
			t.Errorf("%q, %v, %s", got, errno, r.layer.Problem())
		}
		if typ, plain, _ := r.read(); typ != typeAlert || !bytes.Equal(plain, []byte{1, 0}) {
			t.Errorf("%d: %x", typ, plain)
		}
		if len(r.unread) != 0 {
			t.Errorf("%x behind close_notify", r.unread)
		}
		r.close()
	})
}

// TestShortReadMeansEmpty, also where records are so small that one recv(2) of the size asked
// for brings far less data.
func TestShortReadMeansEmpty(t *testing.T) {
	eachSuite(t, func(t *testing.T, s suite) {
		r := newRig(t, s, false)
		defer r.close()
		w := &wire{t: t, out: r.out}
		many(4000, func() { w.data("x") })
		r.raw(w.b)
		b := make([]byte, 8000)
		if n, errno := r.layer.Recv(r.id, r.fd, b); n != 4000 || errno != 0 {
			t.Errorf("%d, %v", n, errno)
		}
	})
}

// TestTicketsAreShown as they came, up to the first record that is something else.
func TestTicketsAreShown(t *testing.T) {
	for _, delivery := range []int{1, 50, 1 << 20} {
		for _, s := range suites[:3] {
			r := newRig(t, s, true)
			var got []byte
			ends := 0
			r.layer.OnTickets(r.id, func(b []byte) {
				if got = append(got, b...); len(b) == 0 {
					ends++
				}
			})
			w := &wire{t: t, out: r.out}
			w.rec(typeHandshake, ticket(200)...)
			w.rec(typeHandshake, ticket(100)[:50]...)
			w.rec(typeHandshake, ticket(100)[50:]...)
			want := bytes.Clone(w.b)
			w.data("a")
			w.rec(typeHandshake, ticket(200)...)
			for b := w.b; len(b) > 0; b = b[min(delivery, len(b)):] {
				r.raw(b[:min(delivery, len(b))])
				if _, errno := r.recv(100); errno != sys.EAGAIN {
					t.Fatalf("%v, %s", errno, r.layer.Problem())
				}
			}
			if !bytes.Equal(got, want) || ends != 1 {
				t.Errorf("%d bytes, want %d; %d ends", len(got), len(want), ends)
			}
			if r.layer.FactsForTest() != 0 {
				t.Error("who asked for tickets is kept")
			}
			r.close()
		}
	}
	// They are asked for, and then something else comes, or nothing.
	for _, b := range [][]byte{nil, {23, 3, 3, 0, 0}} {
		r := newRig(t, suites[0], true)
		ended := 0
		r.layer.OnTickets(r.id, func(b []byte) {
			if ended++; len(b) > 0 {
				t.Error("no ticket came")
			}
		})
		r.raw(b)
		r.recv(10)
		r.close()
		if ended != 1 {
			t.Errorf("told %d times that no more will come", ended)
		}
	}
}

// TestInfoIsForgotten, with and without tickets that are waited for, and its place used anew.
func TestInfoIsForgotten(t *testing.T) {
	l := tlsio.NewLayer(pool.NewBufs(1 << 20))
	open := func(i *info.TLS) uint32 {
		e := tlsio.Established{Version: tlsio.TLS13, Suite: suites[0].id, Client: true}
		return l.Open(&e, i)
	}
	first, second := &info.TLS{Cipher: "first"}, &info.TLS{Cipher: "second"}
	a, b, c := open(first), open(second), open(nil)
	if a == 0 || b == 0 || c == 0 || l.Len() != 3 || l.Info(a) != first || l.Info(b) != second || l.Info(c) != nil {
		t.Fatal("not what was given")
	}
	l.OnTickets(a, func([]byte) {})
	l.OnTickets(c, func([]byte) {})
	for range 2 {
		l.Forget(a)
		l.Forget(b)
		l.Forget(c)
	}
	if l.Info(a) != nil || l.Info(b) != nil || l.FactsForTest() != 2 {
		t.Error("not forgotten")
	}
	l.Close(a)
	l.Close(c)
	d := open(second)
	if l.FactsForTest() != 1 || l.Info(d) != second {
		t.Error("a place was lost")
	}
	l.Close(b)
	l.Close(d)
	if l.Trim(); l.FactsForTest() != 0 || l.Len() != 0 {
		t.Error("something is left")
	}
}

// TestCiphersAreBounded: whatever number of connections is active, the cache stays within
// its bound; none of them notices; Trim gives up what is not used.
func TestCiphersAreBounded(t *testing.T) {
	const count = 6000
	bufs := pool.NewBufs(1 << 20)
	l := tlsio.NewLayer(bufs)
	mine, other := sockets(t)
	defer sys.Close(mine)
	defer sys.Close(other)
	ids := make([]uint32, 0, count)
	secret := bytes.Repeat([]byte{7}, 48)
	for range count {
		e := tlsio.Established{Version: tlsio.TLS13, Suite: suites[2].id}
		copy(e.In.Secret[:], secret)
		copy(e.Out.Secret[:], secret)
		ids = append(ids, l.Open(&e, nil))
	}
	b := make([]byte, 100)
	visit := func(id uint32, seq uint64) {
		t.Helper()
		rec := newDirection(t, suites[2], secret, seq).seal(typeData, []byte("hello"), 0)
		sys.Write(other, rec)
		if n, errno := l.Recv(id, mine, b); string(b[:n]) != "hello" || errno != 0 {
			t.Fatalf("%q, %v, %s", b[:n], errno, l.Problem())
		}
	}
	for i, id := range ids {
		visit(id, 0)
		if i == 99 {
			if n, _ := l.CachedForTest(); n < 90 {
				t.Errorf("%d of 100 active connections have their ciphers", n)
			}
		}
	}
	if n, room := l.CachedForTest(); room > 4096 || n < room/2 {
		t.Errorf("%d of %d", n, room)
	}
	for round := range uint64(3) { // these three stay
		for _, id := range ids[100:103] {
			visit(id, 1+round)
		}
		before, _ := l.CachedForTest()
		if !l.Trim() {
			t.Fatal("nothing is left")
		}
		if after, _ := l.CachedForTest(); round > 0 && after < before/2 {
			t.Errorf("one trim went from %d to %d", before, after)
		}
		for _, id := range ids[100:103] {
			if !l.ExpandedForTest(id) {
				t.Errorf("round %d: ciphers in use were given up", round)
			}
		}
	}
	for range 20 {
		l.Trim()
	}
	if n, room := l.CachedForTest(); n != 0 || room != 0 || l.Trim() {
		t.Errorf("%d of %d after all were trimmed", n, room)
	}
	visit(ids[5], 1)
	slices.Reverse(ids)
	for _, id := range ids {
		l.Close(id)
	}
	if n, _ := l.CachedForTest(); n != 0 || l.Len() != 0 {
		t.Error("something is left")
	}
}
