package shard

import (
	"reflect"
	"strings"
	"testing"

	"holdfast/pool"
)

// The 95 legal edges, written out once more by hand.
const edges = `
free: proxyheader handshake preread readhead
proxyheader: handshake preread readhead closed
handshake: preread readhead linger closed
preread: connect reply closed
readhead: delay access readbody connect sendhead reply closed
delay: access readbody connect sendhead reply closed
access: delay readbody connect sendhead reply closed
readbody: delay access connect sendhead reply closed
connect: delay access uphandshake sendhead switch tunnel connect reply linger closed
uphandshake: delay access sendhead tunnel connect reply linger closed
sendhead: delay access readresp connect reply closed
readresp: delay access body switch readresp connect reply closed
body: idle linger closed
switch: tunnel halfclosed linger closed
tunnel: halfclosed closing linger closed
halfclosed: closing linger closed
closing: linger closed
idle: readhead closed
reply: idle linger closed
linger: closed
closed: free`

func edgeSet() map[string]bool {
	set := map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(edges), "\n") {
		from, list, _ := strings.Cut(line, ": ")
		for _, next := range strings.Fields(list) {
			set[from+" "+next] = true
		}
	}
	return set
}

func TestLegalEdges(t *testing.T) {
	want := edgeSet()
	if len(want) != 95 {
		t.Errorf("%d edges are written out, want 95", len(want))
	}
	for from := Free; from < stateCount; from++ {
		for next := Free; next < stateCount; next++ {
			if got, want := Legal(from, next), want[from.String()+" "+next.String()]; got != want {
				t.Errorf("%s → %s: legal %v, want %v", from, next, got, want)
			}
		}
	}
	for _, bad := range [][2]State{{stateCount, Free}, {Free, stateCount}, {200, 200}} {
		if Legal(bad[0], bad[1]) {
			t.Errorf("%v is legal", bad)
		}
	}
	if s := stateCount.String(); s != "invalid" {
		t.Errorf("a state out of range is called %q", s)
	}
	if len(StateNames()) != int(stateCount) {
		t.Error("not each state has a name")
	}
}

func reachable(from State) (set [stateCount]bool) {
	set[from] = true
	for range stateCount {
		for a := range stateCount {
			for b := range stateCount {
				set[b] = set[b] || set[a] && Legal(a, b)
			}
		}
	}
	return set
}

func TestEveryStateIsReachableAndEnds(t *testing.T) {
	all := reachable(Free)
	for s := Free; s < stateCount; s++ {
		if !all[s] {
			t.Errorf("%s is not reachable", s)
		}
		if !reachable(s)[Closed] {
			t.Errorf("%s does not reach closed", s)
		}
	}
	for s := Free; s < stateCount; s++ {
		if Legal(Tunnel, s) && s != HalfClosed && s != Closing && s != Linger && s != Closed {
			t.Errorf("a tunnel may become %s", s)
		}
	}
}

// Each legal edge moves the gauges of both states, and the gauge of tunnels.
func TestEachEdgeMovesTheGauges(t *testing.T) {
	w := newWorld(t, site{paused: true})
	sh := w.sh
	for from := Free; from < stateCount; from++ {
		for next := Free; next < stateCount; next++ {
			if !Legal(from, next) || from == next {
				continue
			}
			t.Run(from.String()+"→"+next.String(), func(t *testing.T) {
				sh.counters.Sessions = [stateCount]uint64{}
				sh.counters.Tunnels = 0
				s := &Session{state: from, peer: w.peer.ID}
				if from != Free {
					sh.counters.Sessions[from]++
				}
				if from.tunnelled() {
					sh.counters.Tunnels++
					w.peer.Tunnels.Store(1)
				}
				sh.setState(s, next)
				want := [stateCount]uint64{}
				if next != Free {
					want[next] = 1
				}
				if sh.counters.Sessions != want {
					t.Errorf("gauges %v, want %v", sh.counters.Sessions, want)
				}
				tunnels := uint64(0)
				if next.tunnelled() {
					tunnels = 1
				}
				if sh.counters.Tunnels != tunnels || uint64(w.peer.Tunnels.Load()) != tunnels {
					t.Errorf("tunnels %d, of the peer %d, want %d", sh.counters.Tunnels, w.peer.Tunnels.Load(), tunnels)
				}
				w.peer.Tunnels.Store(0)
			})
		}
	}
	sh.counters.Sessions = [stateCount]uint64{}
	sh.counters.Tunnels = 0
}

func TestSessionIs128BytesWithoutPointers(t *testing.T) {
	typ := reflect.TypeFor[Session]()
	if typ.Size() != 128 {
		t.Errorf("%d bytes, want 128", typ.Size())
	}
	if half := typ.Field(0).Type.Size() + typ.Field(1).Type.Size(); half != 64 {
		t.Errorf("the halves fill %d bytes, want one cache line", half)
	}
	noPointers(t, typ, "Session")
	noPointers(t, reflect.TypeFor[pooledConn](), "pooledConn")
}

func noPointers(t *testing.T, typ reflect.Type, path string) {
	t.Helper()
	switch typ.Kind() {
	case reflect.Struct:
		for i := range typ.NumField() {
			noPointers(t, typ.Field(i).Type, path+"."+typ.Field(i).Name)
		}
	case reflect.Array:
		noPointers(t, typ.Elem(), path+"[]")
	case reflect.Pointer, reflect.Slice, reflect.String, reflect.Map, reflect.Interface, reflect.Func, reflect.Chan,
		reflect.UnsafePointer:
		t.Errorf("%s holds a pointer", path)
	}
}

// Event data tells kind, slot, generation and leg apart at their limits.
func TestEventData(t *testing.T) {
	for _, h := range []pool.Handle{{Slot: 0, Gen: 1}, {Slot: 1<<31 - 1, Gen: 1<<31 - 1}, {Slot: 77, Gen: 1 << 30}} {
		for _, leg := range []uint64{legDown, legUp} {
			data := eventData(h, leg)
			if data&kindBit != 0 {
				t.Errorf("%v: kind bit is set", h)
			}
			if got, gotLeg := eventHandle(data); got != h || gotLeg != leg {
				t.Errorf("%v leg %d comes back as %v leg %d", h, leg, got, gotLeg)
			}
			if got, _ := eventHandle(data | kindBit); got != h {
				t.Errorf("pooled %v comes back as %v", h, got)
			}
		}
	}
}
