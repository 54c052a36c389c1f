package shard

import (
	"fmt"
	"holdfast/access"
	"runtime"
	"sync/atomic"

	"holdfast/httpparse"
	"holdfast/internal/sys"
	"holdfast/internal/wheel"
	"holdfast/limit"
	"holdfast/mirror"
	"holdfast/observe"
	"holdfast/pool"
	"holdfast/preread"
	"holdfast/relay"
	"holdfast/tlsio"
	"holdfast/upstream"
)

const (
	eventBatch   = 512
	scratchSize  = 64 << 10
	outSize      = 128 << 10 // room for any head we write and a full scratch behind it
	tunnelBudget = 256 << 10 // bytes a half may move before others get their turn
)

// Options are what a shard is made of.
type Options struct {
	Index       int
	SessionsMax int // sessions at a time
	// InFlightMax is how many bytes of lent buffers reading pauses at; tunnels have one half,
	// requests the other. TLS has a quarter as much on top.
	InFlightMax int
	PipesMax    int
	Policies    *Policies
	Peers       *upstream.Registry
	Snapshot    *Snapshot
	Logs        []LogSink // access logs and tunnel logs, by number
	Errors      LogSink
	ErrorLevel  observe.Level
	NextID      func() uint64 // connection numbers, unique in the process
	Pid         int
	// Quiet, if set, is called on the shard's thread when it has tidied up after a busy
	// time and kept nothing for reuse. It must not block.
	Quiet func()
	// TunnelCounts count tunnels over all shards (tunnels_max).
	TunnelCounts *TunnelCounts
	// Zones count connections over all shards (limit_conn).
	Zones *limit.Zones
	// Handshakes makes the TLS handshakes of all shards; nil where nothing speaks TLS.
	Handshakes *tlsio.Pool
	// Access verifies passwords; nil where nobody is asked for one.
	Access *access.Pool
	// Mirrors sends copies of requests (mirror); nil sends none.
	Mirrors *mirror.Pool
	// KernelTLS is what of TLS connections the kernel gets.
	KernelTLS tlsio.Kernel
	// Load, if set, tells a program in the kernel that chooses shards what this one has:
	// in the upper half its sessions, or LoadUnavailable; in the lower half how many it has
	// accepted from its sockets, modulo 2^32. Only the shard writes it.
	Load *atomic.Uint64
	// Totals has the numbers of all shards for stub_status; nil where nothing asks for them.
	Totals *Totals
}

// Shard is one event loop and all it owns. Only Post, Counters, Use, Adopt, Quit,
// Stop and Done may be called from outside its thread.
type Shard struct {
	opt        Options
	poller     *sys.Poller
	sessions   pool.Slab[Session]
	timers     *wheel.Wheel
	bufs       *pool.Bufs // of requests; those of tunnels are mover.Bufs
	sealed     *pool.Bufs // of TLS connections: parts of records, and what nobody has taken yet
	pipes      *pool.Pipes
	mover      relay.Mover
	pooled     pooledList
	requests   requestPool
	addresses  addressCache
	logged     *Session        // whose request is being logged
	verified   *access.Checker // asks about credentials that were verified before
	bindTurn   uint32          // connections with proxy_bind so far
	orders     uint64          // verdicts on credentials so far
	snapshot   *Snapshot
	former     formerListeners
	handshakes map[uint32]*handshaking // by slot of the session
	identities identities
	proxied    proxiedList
	held       heldLines
	paces      map[uint32]paces // by slot of the session
	limits     heldLimits
	leaving    leavers
	closings   map[uint32]closing // by slot of the session
	landings   landings
	trial      limit.Trial // of limit_req
	adHoc      adHocGroups // of addresses and names that proxy_pass rendered from variables
	counters   observe.Counters

	listeners []listener
	out       []byte            // a head under construction, and what is sent with it
	hello     preread.Hello     // of a stream's client
	asked     httpparse.Request // a head of our own, read again
	path      []byte            // a file's name under construction
	uri       []byte            // a path under construction

	trailerFields []httpparse.Field
	files         int    // open files
	boundary      uint64 // of the last multipart body

	nowMs    int64
	startMs  int64
	wall     int64 // time of day at wallAtMs, in nanoseconds
	wallAtMs int64
	tick     uint32 // the wheel's ticks since startMs, from 1

	acceptMore           bool   // a listener's batch was full
	batchFull            bool   // so was the last batch of events: there may be more
	acceptPaused         bool   // a listener is paused
	accepted             uint32 // from the listeners' sockets, modulo 2^32
	load                 uint64 // as last written to Options.Load
	evictAt              uint32 // where the last search for an idle session ended
	queueHead, queueTail uint32 // slot + 1
	starved              []pool.Handle
	starvedSpare         []pool.Handle
	expired              []uint32
	closed               []uint32
	houseAtMs            int64 // when to tidy pools next, 0: nothing to tidy
	logs                 []logBuffer
	errors               errorLog

	mail     mailbox
	quitting bool
	stopping bool
	done     chan struct{}
}

// New makes a shard with listeners that it owns from now on.
func New(opt Options, listeners []int32) (*Shard, error) {
	poller, errno := sys.NewPoller(eventBatch)
	if errno != 0 {
		return nil, fmt.Errorf("epoll: %w", errno)
	}
	sh := &Shard{
		opt:      opt,
		poller:   poller,
		bufs:     pool.NewBufs(opt.InFlightMax / 2),
		sealed:   pool.NewBufs(opt.InFlightMax / 4),
		pipes:    pool.NewPipes(opt.PipesMax),
		snapshot: opt.Snapshot,
		out:      make([]byte, 0, outSize),
		nowMs:    sys.NowMs(),
		done:     make(chan struct{}),
	}
	sh.startMs = sh.nowMs
	sh.tick = 1
	sh.timers = wheel.New(func(slot uint32) *wheel.Link { return &sh.sessions.At(slot).timer }, sh.nowMs)
	// Requests and tunnels have a limit each, so that slow heads and slow readers of
	// responses can't hold up the tunnels.
	sh.mover = relay.Mover{
		Scratch: make([]byte, scratchSize), Bufs: pool.NewBufs(opt.InFlightMax / 2), Pipes: sh.pipes,
		TLS: tlsio.NewLayer(sh.sealed),
	}
	sh.mover.TLS.UseKernel(opt.KernelTLS)
	sh.verified = access.NewChecker()
	sh.openLogs()
	for i, fd := range listeners {
		sh.listeners = append(sh.listeners, listener{fd: fd})
		if fd < 0 {
			continue // a unix socket's connections come by Adopt
		}
		data := uint64(kindBit) | uint64(i)<<32
		if errno := poller.AddListener(fd, data); errno != 0 {
			poller.Close()
			return nil, fmt.Errorf("epoll: %w", errno)
		}
	}
	return sh, nil
}

// Run is the loop. It returns when Stop or Quit has run its course.
func (sh *Shard) Run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer close(sh.done)
	for !sh.ended() {
		sh.turn()
	}
	sh.shutMailbox()
	sh.pooled.closeAll(sh)
	sh.pipes.Trim()
	sh.logSuppressed()
	sh.flushLogs()
	sh.poller.Close()
}

func (sh *Shard) ended() bool {
	return (sh.stopping || sh.quitting) && sh.sessions.Len() == 0
}

func (sh *Shard) beginQuit() {
	if sh.quitting {
		return
	}
	sh.quitting = true
	sh.closeListeners()
	sh.sessions.Each(func(_ pool.Handle, s *Session) {
		if !s.waitsForRequest() {
			return
		}
		// A request that has come already, and whose event has not, is answered.
		s.Down.Bits |= relay.CanRead
		sh.advance(s)
		if left := sh.mustStayMs(s); left > 0 {
			sh.timers.Set(s.slot, sh.nowMs+left)
		} else if s.waitsForRequest() {
			sh.close(s, observe.ReasonShutdown, observe.SideProxy)
		}
	})
}

// waitsForRequest reports whether nothing of a request has come.
func (s *Session) waitsForRequest() bool {
	return s.state == Idle || s.state == ReadHead && s.request == 0
}

func (sh *Shard) beginStop() {
	sh.stopping = true
	sh.closeListeners()
	sh.sessions.Each(func(_ pool.Handle, s *Session) {
		if s.state != Closed {
			sh.close(s, observe.ReasonShutdown, observe.SideProxy)
		}
	})
}

func (sh *Shard) closeListeners() {
	for i := range sh.listeners {
		if fd := sh.listeners[i].fd; fd >= 0 {
			sys.Close(fd)
			sh.listeners[i].fd = -1
		}
	}
}
