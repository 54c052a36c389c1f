// Package slow plays clients that hold a server's connections while they do next to
// nothing (slowloris, slow POST, slow read), and the origin that they and well-behaved
// clients talk to.
package slow

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"holdfast/test/wire"
)

// DeclaredBytes is the Content-Length of the slow bodies.
const DeclaredBytes = 10_000_000

// patience bounds every step of a slow client.
const patience = 20 * time.Second

// receiveBytes is the receive buffer of a slow reader (SO_RCVBUF), which the kernel
// doubles.
const receiveBytes = 4096

// segmentBytes is a slow reader's maximum segment size (TCP_MAXSEG). The loopback's own
// is 64 KiB, and the kernel sizes a sender's buffer by it, to megabytes for each reader.
const segmentBytes = 1400

// readBytes is what a slow reader takes at a time.
const readBytes = 1024

// Crowd says how many slow clients of each kind there are.
type Crowd struct {
	// Heads send one byte of a request head a Pause and never come to its end.
	Heads int
	// Bodies declare DeclaredBytes and send one byte of them a Pause.
	Bodies int
	// Readers ask for Origin's /stream through a small receive buffer and take 1 KiB of
	// it a Pause.
	Readers int
	// Pause is the time between two steps of each.
	Pause time.Duration
}

// Size is the number of its clients.
func (c Crowd) Size() int { return c.Heads + c.Bodies + c.Readers }

// Siege is a running Crowd. A client whose connection ends begins anew.
type Siege struct {
	stop context.CancelFunc
	over context.Context
	wg   sync.WaitGroup
	open atomic.Int64
	lost atomic.Int64
	read atomic.Int64
}

// kind is how one kind of client behaves.
type kind struct {
	begin string
	step  func(net.Conn) error
	small bool // the receive buffer and the segments
}

// Start connects the clients to address, host:port, and returns when every one of them
// has sent what it begins with, or with the first failure to connect. Stop it in the end.
func (c Crowd) Start(address string) (*Siege, error) {
	s := &Siege{}
	s.over, s.stop = context.WithCancel(context.Background())
	kinds := []struct {
		kind
		count int
	}{
		{kind{begin: "GET /small HTTP/1.1\r\nHost: slow.example\r\nX-Slow: ", step: sendByte}, c.Heads},
		{kind{begin: wire.Lines("POST /upload HTTP/1.1", "Host: slow.example",
			"Content-Length: "+strconv.Itoa(DeclaredBytes)), step: sendByte}, c.Bodies},
		{kind{begin: wire.Lines("GET /stream HTTP/1.1", "Host: slow.example"), step: s.readSome, small: true}, c.Readers},
	}
	begun := make(chan error, c.Size())
	started := 0
	for _, k := range kinds {
		for range k.count {
			// They come spread over a pause, so that their steps do too.
			delay := c.Pause * time.Duration(started) / time.Duration(c.Size())
			started++
			s.wg.Go(func() {
				s.sleep(delay)
				s.play(address, k.kind, c.Pause, begun)
			})
		}
	}
	for range started {
		if err := <-begun; err != nil {
			s.Stop()
			return nil, err
		}
	}
	return s, nil
}

// play is the life of one client; begun gets the result of its first try.
func (s *Siege) play(address string, k kind, pause time.Duration, begun chan<- error) {
	for s.over.Err() == nil {
		conn, err := s.dial(address, k)
		if begun != nil {
			begun <- err
			begun = nil
		}
		if err != nil {
			s.lost.Add(1)
			s.sleep(pause)
			continue
		}
		s.open.Add(1)
		interrupt := context.AfterFunc(s.over, func() { _ = conn.Close() })
		for err == nil && s.sleep(pause) {
			_ = conn.SetDeadline(time.Now().Add(patience))
			err = k.step(conn)
		}
		if s.over.Err() == nil {
			s.lost.Add(1)
		}
		s.open.Add(-1)
		interrupt()
		_ = conn.Close()
	}
}

func (s *Siege) dial(address string, k kind) (net.Conn, error) {
	conn, err := dial(s.over, address, k.small)
	if err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte(k.begin)); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("the first bytes of a slow client: %w", err)
	}
	return conn, nil
}

// Dial connects as a slow reader does, with a small receive buffer and small segments, so
// that a server finds soon that it can't go on writing.
func Dial(address string) (net.Conn, error) { return dial(context.Background(), address, true) }

func dial(ctx context.Context, address string, small bool) (net.Conn, error) {
	d := net.Dialer{Timeout: patience}
	if small {
		d.Control = func(_, _ string, raw syscall.RawConn) error {
			var failed error
			err := raw.Control(func(fd uintptr) {
				failed = errors.Join(
					syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, receiveBytes),
					syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_MAXSEG, segmentBytes))
			})
			return errors.Join(err, failed)
		}
	}
	return d.DialContext(ctx, "tcp", address)
}

func sendByte(conn net.Conn) error {
	_, err := conn.Write([]byte("a"))
	return err
}

// readSome takes what has come, readBytes at most.
func (s *Siege) readSome(conn net.Conn) error {
	n, err := conn.Read(make([]byte, readBytes))
	s.read.Add(int64(n))
	return err
}

// sleep waits for d or for the end; it is false at the end.
func (s *Siege) sleep(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-s.over.Done():
		return false
	}
}

// Open is how many clients are connected now.
func (s *Siege) Open() int { return int(s.open.Load()) }

// Lost is how many connections ended, or could not be made, though the client wanted
// them to live.
func (s *Siege) Lost() int { return int(s.lost.Load()) }

// Read is how many bytes the readers have taken.
func (s *Siege) Read() int64 { return s.read.Load() }

// Stop closes every connection and waits for the clients to end.
func (s *Siege) Stop() {
	s.stop()
	s.wg.Wait()
}
