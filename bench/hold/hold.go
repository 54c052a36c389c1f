package main

import (
	"fmt"
	"time"

	"holdfast/bench/peers"
	"holdfast/test/proc"
)

// sample is what the proxy used at one moment.
type sample struct {
	PSS     int64 // bytes
	Fds     int
	Sockets int
}

// result is everything hold measures. Bytes are of the proportional set size, over all
// processes of the proxy.
type result struct {
	Tunnels, Opened    int
	OpenSeconds        float64
	OpenPerSecond      float64
	Base               sample // before the tunnels
	Held               sample // all open and idle
	Used               sample // after each carried a message
	Closed             sample // after all closed
	BytesPerTunnel     float64
	BytesPerUsedTunnel float64
	IdleSeconds        float64
	IdleCPUMsPerSecond float64
	IdleTicks          int64
	Echoed, Dead       int
}

// echoStep picks the tunnels whose echo is verified while the others are idle: 1 in 100.
const echoStep = 100

// hold runs the whole course against the proxy of o.
func hold(o options) (result, error) {
	r := result{Tunnels: o.tunnels}
	if err := warm(o); err != nil {
		return r, err
	}
	var err error
	if r.Base, err = settled(o); err != nil {
		return r, err
	}
	clients, err := startClients(o.url, o.tunnels, o.processes)
	defer clients.stop()
	if err != nil {
		return r, err
	}
	start := time.Now()
	if r.Opened, err = clients.ask("open"); err != nil {
		return r, fmt.Errorf("after %d tunnels: %w", r.Opened, err)
	}
	r.OpenSeconds = time.Since(start).Seconds()
	r.OpenPerSecond = float64(r.Opened) / r.OpenSeconds
	if r.Held, err = settled(o); err != nil {
		return r, err
	}
	if err := r.watchIdle(o); err != nil {
		return r, err
	}
	if r.Echoed, err = clients.ask(fmt.Sprintf("echo %d", echoStep)); err != nil {
		return r, err
	}
	if _, err = clients.ask("echo 1"); err != nil {
		return r, err
	}
	if r.Used, err = settled(o); err != nil {
		return r, err
	}
	r.Dead, err = clients.ask("alive")
	if err != nil && r.Dead == 0 {
		return r, err
	}
	if _, err := clients.ask("close"); err != nil {
		return r, err
	}
	if r.Closed, err = socketsBack(o, r.Base.Sockets); err != nil {
		return r, err
	}
	r.BytesPerTunnel = float64(r.Held.PSS-r.Base.PSS) / float64(r.Opened)
	r.BytesPerUsedTunnel = float64(r.Used.PSS-r.Base.PSS) / float64(r.Opened)
	return r, nil
}

// warm passes some tunnels through the proxy and closes them, so that what it allocates
// once does not count per tunnel.
func warm(o options) error {
	clients, err := startClients(o.url, 64, 1)
	defer clients.stop()
	if err != nil {
		return err
	}
	for _, command := range []string{"open", "echo 1", "close"} {
		if _, err := clients.ask(command); err != nil {
			return err
		}
	}
	return nil
}

func take(o options) (sample, error) {
	u, err := peers.Measure(o.pid)
	return sample{PSS: u.PSS, Fds: u.Files.Total, Sockets: u.Files.Sockets}, err
}

// settled is a sample after the proxy was left alone for a while.
func settled(o options) (sample, error) {
	time.Sleep(o.settle)
	return take(o)
}

// watchIdle accounts the proxy's CPU while every tunnel is silent.
func (r *result) watchIdle(o options) error {
	before, err := peers.Measure(o.pid)
	if err != nil {
		return err
	}
	start := time.Now()
	time.Sleep(o.idle)
	after, err := peers.Measure(o.pid)
	if err != nil {
		return err
	}
	r.IdleSeconds = time.Since(start).Seconds()
	r.IdleCPUMsPerSecond = float64((after.CPU - before.CPU).Microseconds()) / 1000 / r.IdleSeconds
	r.IdleTicks = after.Ticks - before.Ticks
	return nil
}

// socketsBack waits until the proxy has no more sockets than before; the sample says if
// it never had.
func socketsBack(o options, before int) (sample, error) {
	_ = proc.Poll(proc.Patience, func() error {
		s, err := take(o)
		if err == nil && s.Sockets > before {
			err = fmt.Errorf("%d sockets", s.Sockets)
		}
		return err
	})
	return settled(o)
}
