package limit

import "sync/atomic"

// Stats count what became of requests and connections in one zone, since it was opened.
type Stats struct {
	_              [64]byte // what shards write does not lie beside what they read
	Passed         atomic.Uint64
	Delayed        atomic.Uint64 // of limit_req only, as DelayedDryRun
	Rejected       atomic.Uint64
	DelayedDryRun  atomic.Uint64 // would have been delayed
	RejectedDryRun atomic.Uint64
	_              [64]byte
}
