package relay_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"holdfast/internal/sys"
	"holdfast/pool"
	"holdfast/relay"
)

// end is one of the test's ends of a tunnel: what it sends and what it has got.
type end struct {
	fd       *int32
	content  []byte // what it sends in all; the first bytes may be held instead
	sent     int
	finSent  bool
	finAfter bool // FIN only after the other end's FIN
	got      []byte
	gotFin   bool
	gotErr   sys.Errno
	slow     int // percent of its turns to read that it lets pass
}

// write sends some bytes, and FIN behind the last of them.
func (e *end) write(rng *rand.Rand) {
	if *e.fd < 0 || e.finSent {
		return
	}
	if b := e.content[e.sent:]; len(b) > 0 {
		n, errno := sys.Write(*e.fd, b[:min(len(b), piece(rng))])
		if errno == 0 {
			e.sent += n
		} else if errno != sys.EAGAIN {
			e.gotErr = errno
			e.finSent = true
		}
	} else if !e.finAfter || e.gotFin {
		sys.ShutdownWrite(*e.fd)
		e.finSent = true
	}
}

func (e *end) read(rng *rand.Rand) {
	if *e.fd < 0 || e.gotFin || rng.IntN(100) < e.slow {
		return
	}
	b := make([]byte, piece(rng))
	switch n, errno := sys.Read(*e.fd, b); {
	case errno == sys.EAGAIN:
	case errno != 0:
		e.gotErr, e.gotFin = errno, true
	case n == 0:
		e.gotFin = true
	default:
		e.got = append(e.got, b[:n]...)
	}
}

// piece is a random size: mostly small, at times more than any buffer.
func piece(rng *rand.Rand) int {
	switch rng.IntN(10) {
	case 0:
		return 1
	case 1, 2:
		return 1 + rng.IntN(400_000)
	case 3, 4, 5:
		return 1 + rng.IntN(70_000)
	}
	return 1 + rng.IntN(3000)
}

// trial is a tunnel with random everything.
type trial struct {
	*rig
	rng        *rand.Rand
	framed     bool
	ends       [2]end // client, server
	what       string
	resettable [2]bool
}

func content(rng *rand.Rand, framed bool, most int) []byte {
	size := rng.IntN(3000)
	if rng.IntN(3) > 0 {
		size = rng.IntN(most)
	}
	if framed {
		return frameStream(rng, size)
	}
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func newTrial(t *testing.T, seed uint64, most int) *trial {
	rng := rand.New(rand.NewPCG(seed, 7))
	tr := &trial{rng: rng, framed: rng.IntN(2) == 0}
	var pairs [2]pair
	for i := range pairs {
		kind := rng.IntN(4)
		if kind == 3 {
			most = min(most, 200_000) // bytes go through it in many small steps
		}
		pairs[i] = []pair{unixPair, tcpPair, tiny(unixPair), tiny(tcpPair)}[kind]
		tr.resettable[i] = kind%2 == 1
		tr.what += []string{"unix ", "tcp ", "tiny unix ", "tiny tcp "}[kind]
	}
	tr.rig = newRig(t, pairs[0], pairs[1])
	buffers, pipes := []int{1 << 30, 0, 100 << 10}[rng.IntN(3)], []int{8, 1, 0}[rng.IntN(3)]
	tr.m.Bufs, tr.m.Pipes = pool.NewBufs(buffers), pool.NewPipes(pipes)
	tr.budget = 1 + rng.IntN(300_000)
	tr.what += fmt.Sprintf("framed=%v buffers=%d pipes=%d budget=%d", tr.framed, buffers, pipes, tr.budget)
	for i, h := range []*relay.Half{&tr.down, &tr.up} {
		if tr.framed {
			h.FollowFrames()
		}
		e := &tr.ends[i]
		e.fd = []*int32{&tr.client, &tr.server}[i]
		e.content = content(rng, tr.framed, most)
		e.slow = []int{0, 0, 50, 95}[rng.IntN(4)]
		if rng.IntN(3) == 0 {
			e.sent = rng.IntN(len(e.content) + 1)
			tr.m.Hold(h, e.content[:e.sent])
		}
	}
	// A half that holds something waits for no event of its own.
	tr.queued = true
	if rng.IntN(3) == 0 {
		tr.ends[rng.IntN(2)].finAfter = true
	}
	return tr
}

// run goes on until done. It fails when nothing has moved for as long as the deadline.
func (tr *trial) run(done func() bool) {
	tr.t.Helper()
	last, idle, until := tr.moved(), 0, time.Now().Add(deadline)
	for !done() {
		tr.step(idle / 64) // the kernel may need a moment
		if now := tr.moved(); now != last {
			last, idle, until = now, 0, time.Now().Add(deadline)
		} else if idle = min(idle+1, 64); idle == 64 && time.Now().After(until) {
			tr.t.Fatalf("stalled: %s", tr.dump())
		}
	}
}

func (tr *trial) moved() (n int) {
	for i := range tr.ends {
		n += tr.ends[i].sent + len(tr.ends[i].got)
	}
	return n
}

// step lets one end, or the tunnel, do something.
func (tr *trial) step(waitMs int) {
	switch tr.rng.IntN(6) {
	case 0:
		tr.ends[0].write(tr.rng)
	case 1:
		tr.ends[1].write(tr.rng)
	case 2:
		tr.ends[0].read(tr.rng)
	case 3:
		tr.ends[1].read(tr.rng)
	default:
		tr.turn(waitMs)
	}
}

// delivered checks that each end got the first bytes of what the other one sent.
func (tr *trial) delivered() {
	tr.t.Helper()
	for i := range tr.ends {
		got, sent := tr.ends[i].got, tr.ends[1-i].content
		if len(got) > len(sent) || !bytes.Equal(got, sent[:len(got)]) {
			tr.t.Fatalf("%s: end %d got %d bytes that are not the first of the %d sent", tr.what, i, len(got), len(sent))
		}
	}
}

func (tr *trial) dump() string {
	return fmt.Sprintf("%s; down %+v holds %d; up %+v holds %d; client sent %d of %d, got %d, fin %v; server %d of %d, %d, %v",
		tr.what, tr.down, tr.m.Held(&tr.down), tr.up, tr.m.Held(&tr.up),
		tr.ends[0].sent, len(tr.ends[0].content), len(tr.ends[0].got), tr.ends[0].gotFin,
		tr.ends[1].sent, len(tr.ends[1].content), len(tr.ends[1].got), tr.ends[1].gotFin)
}

func seeds(many int) uint64 {
	if testing.Short() {
		return uint64(many / 4)
	}
	return uint64(many)
}

// TestEveryByteArrives: whatever the sockets, the pieces and the limits, both ends get
// all that the other one sent, in order, then FIN; nothing stays on loan.
func TestEveryByteArrives(t *testing.T) {
	for seed := range seeds(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			tr := newTrial(t, seed, 500_000)
			tr.run(func() bool { return tr.ends[0].gotFin && tr.ends[1].gotFin })
			tr.delivered()
			for i, h := range []*relay.Half{&tr.down, &tr.up} {
				sent, got := tr.ends[i].content, tr.ends[1-i].got
				if len(got) != len(sent) || h.Bytes != uint64(len(sent)) {
					t.Errorf("half %d: %d of %d bytes arrived, %d booked; %s", i, len(got), len(sent), h.Bytes, tr.what)
				}
				if h.State != relay.Shut || h.Bits&(relay.ReadDead|relay.WriteDead) != 0 || h.Bits&relay.AtEOF == 0 {
					t.Errorf("half %d ended as %+v", i, h)
				}
				if tr.framed {
					if want := naive(sent); of(h) != want {
						t.Errorf("half %d: %+v, want %+v; %s", i, of(h), want, tr.what)
					}
				}
			}
			if v := relay.Outcome(&tr.down, &tr.up); v != relay.EndClose {
				t.Errorf("outcome %d", v)
			}
			tr.nothingLent()
		})
	}
}

// TestResetEndsTheTunnel resets one end at a random moment (a unix socket just goes
// away): what the other end got are the first bytes sent, and the tunnel comes to an
// end without that end's help, or, where only a FIN was to be seen, after its FIN.
func TestResetEndsTheTunnel(t *testing.T) {
	for seed := range seeds(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			tr := newTrial(t, 1000+seed, 400_000)
			for range tr.rng.IntN(150) {
				tr.step(0)
			}
			victim := tr.rng.IntN(2)
			finBefore := tr.ends[victim].finSent
			tr.ends[1-victim].finAfter = true
			reset(tr.ends[victim].fd)
			tr.run(func() bool {
				v := relay.Outcome(&tr.down, &tr.up)
				return v == relay.EndClose || v == relay.EndLinger
			})
			tr.delivered()
			h := []*relay.Half{&tr.down, &tr.up}[victim]
			if tr.resettable[victim] && !finBefore && !h.Dead() {
				t.Errorf("victim %d was reset, but its half is %+v", victim, h)
			}
		})
	}
}

// TestEmptyStreams covers the shortest tunnels.
func TestEmptyStreams(t *testing.T) {
	for _, p := range []pair{unixPair, tcpPair} {
		for first := range 2 {
			r := newRig(t, p, p)
			ends := [...]int32{r.client, r.server}
			sys.ShutdownWrite(ends[first])
			r.atEOF(ends[1-first])
			if v := relay.Outcome(&r.down, &r.up); v != relay.HalfOpen {
				t.Fatalf("one direction ended: outcome %d", v)
			}
			r.send(ends[1-first], []byte("still here"))
			if got := r.receive(ends[first], 10); string(got) != "still here" {
				t.Fatalf("%q", got)
			}
			sys.ShutdownWrite(ends[1-first])
			r.atEOF(ends[first])
			if v := relay.Outcome(&r.down, &r.up); v != relay.EndClose {
				t.Fatalf("both directions ended: outcome %d", v)
			}
		}
	}
}
