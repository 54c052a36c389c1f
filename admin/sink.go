package admin

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// sinkBytesMax bounds what waits for one sink's writer.
	sinkBytesMax = 4 << 20
	// A sink keeps at most freeBufsMax empty buffers of at most freeBufBytesMax each.
	freeBufsMax     = 64
	freeBufBytesMax = 64 << 10
	// Up to this size lines are copied behind those that wait: one write for many
	// turns of many shards, and no large buffer kept for a few bytes.
	copyBytesMax = 4 << 10
	// reportEvery is how often a log may begin to fail and have that reported.
	reportEvery = time.Minute
)

// Sink is one log, a file or a syslog server, and the goroutine that writes it. Any number
// of shards hand buffers over; a slow or full disk costs log lines, counted, and never a
// shard's time. Sinks come from Logs.Open.
type Sink struct {
	path    string // of the file, or what the server is called
	discard bool   // /dev/null: no file, no goroutine
	dropped atomic.Uint64
	wake    chan struct{} // holds a token when the writer has something to look at
	done    chan struct{} // closed when the writer has ended
	report  io.Writer

	mu      sync.Mutex
	queue   [][]byte
	queued  int // bytes in queue and in the writer's hands
	free    [][]byte
	next    *os.File // a reopened file the writer has not changed over to yet
	closing bool

	file *os.File // the one being written; only close uses it besides the writer, under mu

	// end is when close gives up, under mu; zero before close.
	end time.Time

	// The writer's own.
	gather     gatherer
	server     *datagrams // nil for a file
	torn       bool       // the file ends in the middle of a line
	failing    bool       // what was lost since reportedAt is to be reported when it works again
	lost       uint64
	reportedAt time.Time
}

// newSink starts the writer of a file, or of a syslog server if file is nil.
func newSink(t *Target, file *os.File, report io.Writer) *Sink {
	s := &Sink{
		path: t.Name(), file: file, report: report, gather: newGatherer(t),
		wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	if t.Syslog != nil {
		s.server = &datagrams{to: *t.Syslog}
		_ = s.server.dial() // as whom the process was started; what fails is tried again
	}
	go s.run()
	return s
}

// newDiscardSink is the sink of /dev/null.
func newDiscardSink(path string) *Sink {
	s := &Sink{path: path, discard: true, done: make(chan struct{})}
	close(s.done)
	return s
}

// Swap takes a buffer of whole lines and returns an empty one in its place: the
// buffer given belongs to the sink from then on. In steady state buffers go round
// and nothing is allocated; the result may be nil, which append accepts. Past 4 MiB
// of waiting lines the given ones are dropped and counted. The lock is held for a few
// assignments, so a shard may call it, once a loop turn.
func (s *Sink) Swap(full []byte) (empty []byte) {
	if len(full) == 0 || s.discard {
		return full[:0]
	}
	s.mu.Lock()
	if s.closing || s.queued+len(full) > sinkBytesMax {
		s.mu.Unlock()
		s.dropped.Add(lines(full))
		return full[:0]
	}
	s.queued += len(full)
	if s.copyIn(full) {
		s.mu.Unlock()
		return full[:0]
	}
	s.queue = append(s.queue, full)
	if n := len(s.free); n > 0 {
		empty = s.free[n-1]
		s.free[n-1] = nil
		s.free = s.free[:n-1]
	}
	s.mu.Unlock()
	s.signal()
	return empty
}

// copyIn puts few lines into the room of the last buffer that waits. The writer has
// been told of that one.
func (s *Sink) copyIn(few []byte) bool {
	last := len(s.queue) - 1
	if last < 0 || len(few) > copyBytesMax || cap(s.queue[last])-len(s.queue[last]) < len(few) {
		return false
	}
	s.queue[last] = append(s.queue[last], few...)
	return true
}

// Dropped is the number of lines lost so far: no room, or the file could not be
// written.
func (s *Sink) Dropped() uint64 { return s.dropped.Load() }

func (s *Sink) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// lines counts the lines of b; a rest without a newline is one.
func lines(b []byte) uint64 {
	n := uint64(bytes.Count(b, []byte{'\n'}))
	if len(b) > 0 && b[len(b)-1] != '\n' {
		n++
	}
	return n
}

// run is the writer: it takes what waits, writes it outside the lock, and gives the
// buffers back. Lines that are gathered are written when they have waited long enough, when
// the log is reopened, and at the end.
func (s *Sink) run() {
	defer close(s.done)
	due := time.NewTimer(0)
	<-due.C
	var batch [][]byte
	for {
		select {
		case <-s.wake:
		case <-due.C:
		}
		for {
			s.mu.Lock()
			batch, s.queue = s.queue, batch[:0]
			old, file := s.file, s.file
			if s.next != nil {
				file, s.file, s.next = s.next, s.next, nil
			}
			closing := s.closing
			s.mu.Unlock()
			if file != old {
				s.gather.write(func(lines []byte) { s.write(old, lines) })
				s.closeFile(old)
				s.torn = false
			}
			if len(batch) == 0 {
				if closing {
					s.finish(file)
					return
				}
				break
			}
			for i, buf := range batch {
				s.take(file, buf)
				s.recycle(buf)
				batch[i] = nil
			}
		}
		s.flushDue(s.file, due)
	}
}

// take gathers or writes whole lines.
func (s *Sink) take(file *os.File, buf []byte) {
	if s.gather.max == 0 {
		s.write(file, buf)
		return
	}
	s.gather.add(buf, func(lines []byte) { s.write(file, lines) })
}

// flushDue writes gathered lines whose time has come, else sets the timer for it.
func (s *Sink) flushDue(file *os.File, due *time.Timer) {
	left, ok := s.gather.wait()
	if ok && left <= 0 {
		s.gather.write(func(lines []byte) { s.write(file, lines) })
		return
	}
	if ok {
		due.Reset(left)
	}
}

// finish writes what is gathered and closes the file.
func (s *Sink) finish(file *os.File) {
	s.gather.write(func(lines []byte) { s.write(file, lines) })
	if s.server != nil {
		s.server.close()
		return
	}
	s.closeFile(file)
}

// write appends whole lines, or sends them. What cannot be written is lost and counted.
func (s *Sink) write(file *os.File, buf []byte) {
	if s.server != nil {
		s.mu.Lock()
		end := s.end
		s.mu.Unlock()
		if lost, err := s.server.put(buf, end); err != nil {
			s.fail(lost, err)
			return
		}
		s.works()
		return
	}
	if s.torn {
		if _, err := file.Write([]byte{'\n'}); err != nil {
			s.fail(lines(buf), err)
			return
		}
		s.torn = false
	}
	n, err := file.Write(buf)
	switch {
	case err == nil:
		s.works()
	case s.gather.deflate != nil:
		s.fail(max(lines(s.gather.lines), 1), err)
		s.cutOff(file, n)
	default:
		s.torn = n > 0 && buf[n-1] != '\n'
		s.fail(lines(buf[n:]), err)
	}
}

// cutOff takes the n bytes of an unfinished gzip member off the file's end: nothing behind
// them could be read.
func (s *Sink) cutOff(file *os.File, n int) {
	if info, err := file.Stat(); n > 0 && err == nil && info.Mode().IsRegular() {
		_ = file.Truncate(max(info.Size()-int64(n), 0))
	}
}

// fail counts n lines as lost and says so, when a log begins to fail.
func (s *Sink) fail(n uint64, err error) {
	s.dropped.Add(n)
	s.lost += n
	if now := time.Now(); !s.failing && (s.reportedAt.IsZero() || now.Sub(s.reportedAt) >= reportEvery) {
		fmt.Fprintf(s.report, "holdfast: log %s: %v; lines are lost until it can be written again\n", s.path, err)
		s.reportedAt, s.failing = now, true
	}
}

// works says that a log which failed is written again.
func (s *Sink) works() {
	if s.failing {
		fmt.Fprintf(s.report, "holdfast: log %s is written again; %d lines were lost\n", s.path, s.lost)
		s.failing, s.lost = false, 0
	}
}

func (s *Sink) recycle(buf []byte) {
	s.mu.Lock()
	s.queued -= len(buf)
	if len(s.free) < freeBufsMax && cap(buf) <= freeBufBytesMax {
		s.free = append(s.free, buf[:0])
	}
	s.mu.Unlock()
}

// reopen makes the writer go on in a newly opened file; on error it stays with the
// old one.
func (s *Sink) reopen() error {
	if s.discard || s.server != nil || standardStream(s.path) != nil {
		return nil
	}
	file, err := openLogFile(s.path)
	if err != nil {
		return err
	}
	s.mu.Lock()
	stale := s.next
	s.next = file
	if s.closing {
		stale, s.next = file, nil
	}
	s.mu.Unlock()
	if stale != nil {
		s.closeFile(stale)
	}
	s.signal()
	return nil
}

// close ends the writer after it has written what waits, or at the deadline.
func (s *Sink) close(deadline time.Time) error {
	if s.discard {
		return nil
	}
	s.mu.Lock()
	s.closing, s.end = true, deadline
	s.mu.Unlock()
	s.signal()
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case <-s.done:
		return nil
	case <-timer.C:
	}
	// A pipe that nobody reads blocks the writer; a deadline frees it. Other kinds of
	// files have none, and then the writer is left behind.
	before := s.dropped.Load()
	s.mu.Lock()
	var err error
	if s.server == nil {
		err = s.file.SetWriteDeadline(time.Now())
	}
	waiting := s.queued
	s.mu.Unlock()
	if err != nil { // what is gathered may be what it hangs on
		return fmt.Errorf("log %s: %d bytes were not written in time", s.path, waiting)
	}
	<-s.done
	if lost := s.dropped.Load() - before; lost > 0 {
		return fmt.Errorf("log %s: %d lines were not written in time", s.path, lost)
	}
	return nil
}

// closeFile closes a log file, but not the process's own streams.
func (s *Sink) closeFile(file *os.File) {
	if file == os.Stdout || file == os.Stderr {
		return
	}
	if err := file.Close(); err != nil {
		fmt.Fprintf(s.report, "holdfast: log %s: %v\n", s.path, err)
	}
}
