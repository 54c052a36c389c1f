package load

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"holdfast/test/wire"
)

// EchoOptions describe an echo load.
type EchoOptions struct {
	Target      Target
	Connections int
	Size        int           // bytes of a message
	Rate        float64       // messages a second over all connections; zero is the closed loop
	Duration    time.Duration // of the sending
}

// EchoResult is what an echo load saw. Latencies are in microseconds.
type EchoResult struct {
	Echoes    int64
	PerSecond float64
	Latency   Latency
}

// Latency are quantiles in microseconds.
type Latency struct {
	P50, P90, P99, P999, Max int64
}

// latencyMax is the largest latency the histogram can hold, in microseconds.
const latencyMax = int64(Patience / time.Microsecond)

// Echo echoes messages on open connections. In the closed loop each connection sends its
// next message when the last one is back, and sends one at least. At a fixed rate each message has its time
// beforehand, and its latency counts from that time whether or not the sender was held
// up: a stall shows in all messages it delayed, not in one.
func Echo(ctx context.Context, o EchoOptions) (EchoResult, error) {
	tunnels, err := OpenMany(ctx, o.Target, 0, o.Connections, 32)
	defer CloseAll(tunnels)
	if err != nil {
		return EchoResult{}, err
	}
	loop := closedLoop
	if o.Rate > 0 {
		loop = fixedRate
	}
	total := hdrhistogram.New(1, latencyMax, 3)
	var mu sync.Mutex
	start := time.Now()
	err = each(len(tunnels), len(tunnels), func(i int) error {
		h := hdrhistogram.New(1, latencyMax, 3)
		err := loop(tunnels[i], o, start, i, h)
		mu.Lock()
		defer mu.Unlock()
		total.Merge(h)
		return err
	})
	seconds := time.Since(start).Seconds()
	return EchoResult{
		Echoes: total.TotalCount(), PerSecond: float64(total.TotalCount()) / seconds,
		Latency: Latency{
			P50: total.ValueAtQuantile(50), P90: total.ValueAtQuantile(90), P99: total.ValueAtQuantile(99),
			P999: total.ValueAtQuantile(99.9), Max: total.Max(),
		},
	}, err
}

func closedLoop(t *Tunnel, o EchoOptions, start time.Time, _ int, h *hdrhistogram.Histogram) error {
	frame := wire.ClientFrame(wire.OpBinary, make([]byte, o.Size))
	_ = t.conn.SetDeadline(start.Add(o.Duration + Patience))
	for first := true; first || time.Since(start) < o.Duration; first = false {
		sent := time.Now()
		if _, err := t.conn.Write(frame); err != nil {
			return err
		}
		if err := skipEcho(t.br, o.Size); err != nil {
			return err
		}
		if err := record(h, time.Since(sent)); err != nil {
			return err
		}
	}
	return nil
}

// fixedRate sends the messages of one connection at their times, the connections taking
// turns, and reads the echoes beside it. Echoes come back in order, so the n-th echo
// belongs to the n-th time.
func fixedRate(t *Tunnel, o EchoOptions, start time.Time, i int, h *hdrhistogram.Histogram) error {
	interval := time.Duration(float64(o.Connections) / o.Rate * float64(time.Second))
	if interval <= 0 {
		return errors.New("the rate is too high")
	}
	first := start.Add(interval * time.Duration(i) / time.Duration(o.Connections))
	count := int(o.Duration / interval)
	_ = t.conn.SetDeadline(start.Add(o.Duration + Patience))
	sent := make(chan error, 1)
	go func() {
		frame := wire.ClientFrame(wire.OpBinary, make([]byte, o.Size))
		for n := range count {
			time.Sleep(time.Until(first.Add(interval * time.Duration(n))))
			if _, err := t.conn.Write(frame); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for n := range count {
		if err := skipEcho(t.br, o.Size); err != nil {
			t.conn.Close()
			<-sent
			return err
		}
		if err := record(h, time.Since(first.Add(interval*time.Duration(n)))); err != nil {
			return err
		}
	}
	return <-sent
}

func record(h *hdrhistogram.Histogram, latency time.Duration) error {
	us := max(latency.Microseconds(), 1)
	if us > latencyMax {
		return fmt.Errorf("an echo took %v", latency)
	}
	return h.RecordValue(us)
}

// skipEcho reads one frame of the expected size and drops its payload.
func skipEcho(br *bufio.Reader, size int) error {
	h, err := wire.ReadHeader(br)
	if err != nil {
		return err
	}
	if h.Length != uint64(size) || h.Op != wire.OpBinary {
		return fmt.Errorf("an echo of %d bytes, opcode %d; sent %d", h.Length, h.Op, size)
	}
	_, err = br.Discard(size)
	return err
}
