package engine

import (
	"context"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// After a storm the shards drop what they kept for reuse; the runtime would keep those
// pages for minutes. scavenger gives them back to the system once the shards are quiet.
type scavenger struct {
	quiet chan struct{}
}

const (
	// scavengeEvery bounds how often memory is given back: it costs a collection.
	scavengeEvery = 10 * time.Second
	// scavengeBytes is how much must be free for that to be worth it.
	scavengeBytes = 1 << 20
)

func newScavenger() *scavenger { return &scavenger{quiet: make(chan struct{}, 1)} }

// notice is called on a shard's thread when it has nothing left to trim. It never blocks.
func (s *scavenger) notice() {
	select {
	case s.quiet <- struct{}{}:
	default:
	}
}

// run gives memory back when a shard has gone quiet, until ctx ends. Without notices it
// sleeps.
func (s *scavenger) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.quiet:
		}
		if reclaimable() >= scavengeBytes {
			debug.FreeOSMemory()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(scavengeEvery):
		}
	}
}

// reclaimable is how many bytes of the heap hold garbage or nothing but are still the
// process's: what a collection and a release could give back at most.
func reclaimable() uint64 {
	samples := []metrics.Sample{
		{Name: "/memory/classes/heap/free:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/gc/heap/live:bytes"},
	}
	metrics.Read(samples)
	free, unused := samples[0].Value.Uint64(), samples[1].Value.Uint64()
	objects, live := samples[2].Value.Uint64(), samples[3].Value.Uint64()
	garbage := uint64(0)
	if objects > live {
		garbage = objects - live
	}
	return free + unused + garbage
}
