package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"holdfast/test/slow"
	"holdfast/test/wire"
)

// steady is a well-behaved client that asks at a fixed rate. Each request has its time
// beforehand and its latency counts from that time, whether or not the sender was held up:
// a stall shows in all requests it delayed, not in one.
type steady struct {
	rate        float64 // requests a second over all connections
	connections int
	duration    time.Duration
}

// patience bounds the wait for everything.
const patience = 30 * time.Second

// requests is how many a run makes.
func (s steady) requests() int64 {
	return int64(s.connections) * int64(s.duration/s.interval())
}

// interval is the time between two requests on one connection.
func (s steady) interval() time.Duration {
	return time.Duration(float64(s.connections) / s.rate * float64(time.Second))
}

// run makes all requests and returns their latencies in microseconds. An answer that is
// missing or wrong is an error.
func (s steady) run(address string) (*hdrhistogram.Histogram, error) {
	total := hdrhistogram.New(1, patience.Microseconds(), 3)
	var mu sync.Mutex
	var wg sync.WaitGroup
	var failed error
	start := time.Now().Add(100 * time.Millisecond)
	for i := range s.connections {
		wg.Go(func() {
			h := hdrhistogram.New(1, patience.Microseconds(), 3)
			first := start.Add(s.interval() * time.Duration(i) / time.Duration(s.connections))
			err := s.connection(address, first, h)
			mu.Lock()
			defer mu.Unlock()
			total.Merge(h)
			failed = errors.Join(failed, err)
		})
	}
	wg.Wait()
	if failed == nil && total.TotalCount() != s.requests() {
		failed = fmt.Errorf("%d of %d requests were answered", total.TotalCount(), s.requests())
	}
	return total, failed
}

// connection makes the requests of one connection: a sender that keeps to the times, and
// a reader beside it. Answers come in order, so the n-th belongs to the n-th time.
func (s steady) connection(address string, first time.Time, h *hdrhistogram.Histogram) error {
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(first.Add(s.duration + patience))
	count := int(s.duration / s.interval())
	sent := make(chan error, 1)
	go func() {
		request := []byte(wire.Lines("GET /small HTTP/1.1", "Host: steady.example", "User-Agent: steady"))
		for n := range count {
			time.Sleep(time.Until(first.Add(s.interval() * time.Duration(n))))
			if _, err := conn.Write(request); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	br := bufio.NewReader(conn)
	for n := range count {
		if err := readSmall(br); err != nil {
			conn.Close()
			return errors.Join(fmt.Errorf("answer %d: %w", n, err), <-sent)
		}
		latency := max(time.Since(first.Add(s.interval()*time.Duration(n))).Microseconds(), 1)
		if err := h.RecordValue(latency); err != nil {
			return err
		}
	}
	return <-sent
}

func readSmall(br *bufio.Reader) error {
	head, err := wire.ReadHead(br)
	if err != nil {
		return err
	}
	if head.Status() != 200 {
		return fmt.Errorf("status line %q", head.Start)
	}
	body, err := io.ReadAll(wire.Body(br, head))
	if err == nil && string(body) != slow.SmallBody {
		err = fmt.Errorf("body %q", body)
	}
	return err
}
