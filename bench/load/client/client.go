// Package client makes load for WebSocket proxies with as little processor time as it
// can: on event loops of its own, each locked to a thread, with buffers that are reused.
// There are three loads: Echo, Storm and Bulk. Each checks what comes back, and ends with
// an error at the first thing that is not as it must be.
package client

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"holdfast/bench/load/poll"
	"holdfast/bench/load/secure"
	"holdfast/test/wire"
)

// Patience is how long a load waits without any progress before it gives up.
const Patience = 30 * time.Second

// sources is how many loopback addresses the connections come from: one has too few
// ports for many connections a second.
const sources = 16

// Target is where a load goes.
type Target struct {
	// URL is ws://HOST:PORT/PATH, or wss:// for TLS 1.3; a bulk load asks below PATH for
	// /source or /sink.
	URL string
	// Raw asks for an upgrade to "raw" instead of "websocket": bytes without frames.
	Raw bool
	// Loops is the number of event loops that share the work.
	Loops int

	patience time.Duration // zero: Patience; tests are less patient
}

// destination is a target, resolved.
type destination struct {
	address poll.Address
	sources []poll.Address // nil: the kernel chooses
	path    string         // what is asked for
	request []byte         // the upgrade request
	accept  string         // what the head of the 101 must hold
	dialer  *secure.Dialer // nil without TLS
}

// resolve looks the target up; below is added to its path.
func (t Target) resolve(below string) (*destination, error) {
	u, err := url.Parse(t.URL)
	if err != nil {
		return nil, err
	}
	overTLS := u.Scheme == "wss" || u.Scheme == "https"
	if (u.Scheme != "ws" && u.Scheme != "http" && !overTLS) || u.Port() == "" {
		return nil, fmt.Errorf("%q: want ws://HOST:PORT/PATH or wss://", t.URL)
	}
	if t.Loops < 1 {
		return nil, errors.New("a load needs a loop")
	}
	d := &destination{accept: wire.AcceptKey(wire.SampleKey)}
	if overTLS {
		d.dialer = secure.NewDialer(secure.Options{})
	}
	if d.address, err = poll.Resolve(u.Host); err != nil {
		return nil, err
	}
	if d.address.Loopback() {
		for i := range sources {
			d.sources = append(d.sources, poll.IPv4([4]byte{127, 0, 1, byte(1 + i)}, 0))
		}
	}
	path := u.RequestURI()
	if below != "" {
		path = strings.TrimSuffix(u.EscapedPath(), "/") + below
	}
	d.path = path
	d.request = []byte(wire.UpgradeRequest(u.Host, path))
	if t.Raw {
		d.request = []byte(wire.Lines("GET "+path+" HTTP/1.1", "Host: "+u.Host, "Connection: Upgrade", "Upgrade: raw"))
		d.accept = "raw"
	}
	return d, nil
}

// source is the address that the i-th connection comes from.
func (d *destination) source(i int) *poll.Address {
	if len(d.sources) == 0 {
		return nil
	}
	return &d.sources[i%len(d.sources)]
}

// share is what the i-th of n gets of a whole.
func share(whole, n, i int) int {
	part := whole / n
	if i < whole%n {
		part++
	}
	return part
}

// parallel runs do for each loop on a locked thread and returns the first error. When
// one fails, the others are told to stop.
func parallel[L interface{ base() *loop }](loops []L, do func(L) error) error {
	var wg sync.WaitGroup
	errs := make([]error, len(loops))
	for i, l := range loops {
		wg.Add(1)
		go func() {
			defer wg.Done()
			defer poll.Lock()()
			if errs[i] = do(l); errs[i] == nil || errors.Is(errs[i], errStopped) {
				return
			}
			for _, other := range loops {
				other.base().stop.Store(true)
				other.base().poller.Wake()
			}
		}()
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil && !errors.Is(err, errStopped) {
			return err
		}
	}
	return errors.Join(errs...)
}
