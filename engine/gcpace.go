package engine

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// heapSlack is how much garbage may gather before a collection, in bytes, where the live heap
// is smaller than that. What lives here is small, since records and buffers hold no pointers,
// so the runtime's rule, to collect when the heap has doubled, would make it collect all the
// time while handshakes of TLS are made. An idle process keeps none of it (scavenger).
const heapSlack = 12 << 20

// paceCollections keeps the runtime's GOGC at what heapSlack asks for, unless the environment
// says what it is to be. It sets it after each collection that changes the answer by much.
func paceCollections() {
	if os.Getenv("GOGC") != "" {
		return
	}
	p := &collectionPacer{}
	p.adjust()
	p.watch()
}

type collectionPacer struct{ percent int }

// watch calls adjust once after each collection: an object that nothing holds is found dead
// by it, and its successor by the next.
func (p *collectionPacer) watch() {
	runtime.SetFinalizer(&struct{ p *collectionPacer }{p}, func(*struct{ p *collectionPacer }) {
		p.adjust()
		p.watch()
	})
}

func (p *collectionPacer) adjust() {
	sample := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(sample)
	want := gcPercent(sample[0].Value.Uint64())
	// Setting it stops the world for a moment.
	if want > p.percent*5/4 || want < p.percent*4/5 {
		debug.SetGCPercent(want)
		p.percent = want
	}
}

// gcPercent is the GOGC that lets a heap with so many live bytes grow by as many, but by
// heapSlack at least.
func gcPercent(live uint64) int {
	const least = 1 << 20 // before the first collection nothing counts as live
	live = max(live, least)
	return int(100 * max(live, heapSlack) / live)
}
