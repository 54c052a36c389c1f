package sys

import "golang.org/x/sys/unix"

// The calling thread's share and slice once it yields to others.
const (
	yieldNice    = 10                // about a tenth of the share of a thread beside it
	yieldSliceNs = 100 * 1000 * 1000 // the longest that the kernel takes
)

// YieldToOthers makes the calling thread one that others go before: it gets less of a
// processor that others want too, and those that wake up take it at once (the kernel
// lets a thread with a shorter slice in; before 6.12 it knows only the share). It can't
// be undone without privileges, so the thread has to be the caller's own.
func YieldToOthers() {
	attr := unix.SchedAttr{Policy: unix.SCHED_NORMAL, Nice: yieldNice, Runtime: yieldSliceNs}
	if unix.SchedSetAttr(0, &attr, 0) != nil {
		_ = unix.Setpriority(unix.PRIO_PROCESS, unix.Gettid(), yieldNice)
	}
}
