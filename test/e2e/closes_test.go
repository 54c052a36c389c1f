package e2e_test

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/test/proc"
	"holdfast/test/wire"
)

// ending is one way a WebSocket, or the attempt at one, comes to its end.
type ending struct {
	name string
	// backend plays after the request head, client after the connect.
	backend proc.Behaviour
	client  func(c *proc.Raw, target string)
	// reason and side are those of the tunnel's close; "" for an attempt that never
	// became a tunnel.
	reason, side string
	// outcome is what the upgrade counts as.
	outcome string
}

// The beginnings of frames whose rest never comes.
var (
	halfAClientFrame = wire.ClientFrame(wire.OpBinary, make([]byte, 5000))[:2500]
	halfAServerFrame = wire.ServerFrame(wire.OpBinary, make([]byte, 5000))[:2500]
)

// goAhead is the last message before the end that a test is about.
var goAhead = wire.ClientFrame(wire.OpText, []byte("go ahead"))

// open makes a tunnel and passes one message each way, so that both sides are in it
// before either of them ends it.
func open(c *proc.Raw, target string) {
	c.Handshake("x", target)
	c.EchoText("sync")
}

func opened(x *proc.Exchange) {
	x.Switch()
	text := []byte("sync")
	x.ExpectBytes(wire.ClientFrame(wire.OpText, text)).SendBytes(wire.ServerFrame(wire.OpText, text))
	x.ExpectBytes(goAhead)
}

// endings are the ways the proxy must tell apart.
func endings() []ending {
	waits := func(x *proc.Exchange) { opened(x); x.WaitEnd() }
	clientEnds := func(end func(c *proc.Raw)) func(*proc.Raw, string) {
		return func(c *proc.Raw, target string) { open(c, target); c.SendBytes(goAhead); end(c) }
	}
	clientWaits := clientEnds(func(c *proc.Raw) { c.ExpectEnd() })
	const done, cut, reset = "done", "aborted", "reset"
	return []ending{
		{"client closes", waits, clientEnds((*proc.Raw).Close), done, "client", "switched"},
		{"client half-closes", waits, clientEnds(func(c *proc.Raw) {
			c.CloseWrite().ExpectEOF()
		}), done, "client", "switched"},
		{"client resets", waits, clientEnds((*proc.Raw).Reset), reset, "client", "switched"},
		{"client cuts a frame", waits, clientEnds(func(c *proc.Raw) {
			c.SendBytes(halfAClientFrame).Close()
		}), cut, "client", "switched"},
		{"client resets in a frame", waits, clientEnds(func(c *proc.Raw) {
			c.SendBytes(halfAClientFrame).Reset()
		}), reset, "client", "switched"},
		{"backend closes", opened, clientWaits, done, "upstream", "switched"},
		{"backend resets", func(x *proc.Exchange) { opened(x); x.Reset() }, clientWaits, reset, "upstream", "switched"},
		{"backend cuts a frame", func(x *proc.Exchange) {
			opened(x)
			x.SendBytes(halfAServerFrame)
		}, clientWaits, cut, "upstream", "switched"},
		{"backend resets in a frame", func(x *proc.Exchange) {
			opened(x)
			x.SendBytes(halfAServerFrame).Reset()
		}, clientWaits, reset, "upstream", "switched"},
		{"backend refuses", proc.Answer(403, "no"), func(c *proc.Raw, target string) {
			c.Send(wire.UpgradeRequest("x", target))
			c.Body(c.Response(403))
		}, "", "", "refused"},
		{"backend leaves unanswered", func(*proc.Exchange) {}, func(c *proc.Raw, target string) {
			c.Send(wire.UpgradeRequest("x", target))
			c.Response(502)
		}, "", "", "failed"},
		{"backend resets unanswered", func(x *proc.Exchange) { x.Reset() }, func(c *proc.Raw, target string) {
			c.Send(wire.UpgradeRequest("x", target))
			c.Response(502)
		}, "", "", "failed"},
	}
}

// path is the request target of an ending.
func (e ending) path() string { return "/" + strings.ReplaceAll(e.name, " ", "-") }

func endingsBackend(t *testing.T) *proc.Backend {
	paths := map[string]proc.Behaviour{}
	for _, e := range endings() {
		paths[e.path()] = e.backend
	}
	return proc.NewBackend(t, proc.ByPath(paths))
}

// Each ending alone: the reason and the side in the log, in /status and in /metrics.
func TestCloseReasonAndSide(t *testing.T) {
	b := endingsBackend(t)
	for _, e := range endings() {
		t.Run(strings.ReplaceAll(e.name, " ", "_"), func(t *testing.T) {
			p := holdfast(t, to(b))
			c := proc.Dial(t, p.Front())
			e.client(c, e.path())
			c.Close()
			proc.Until(t, "outcome "+e.outcome, func() error {
				if got := p.Status(t).Totals.Upgrades; got[e.outcome] != 1 {
					return fmt.Errorf("upgrades %v", got)
				}
				return nil
			})
			if e.side == "" {
				return
			}
			closedOnce(t, p, e.reason, e.side)
		})
	}
}

// A client that leaves before the answer is counted as gone, and the backend is let go.
func TestClientLeavesBeforeTheAnswer(t *testing.T) {
	asked, left := make(chan struct{}), make(chan struct{})
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		close(asked)
		x.WaitEnd()
		close(left)
	})
	p := holdfast(t, to(b))
	c := proc.Dial(t, p.Front())
	c.Send(wire.UpgradeRequest("x", "/"))
	await(t, "the request at the backend", asked)
	c.Reset()
	await(t, "the end at the backend", left)
	proc.Until(t, "outcome gone", func() error {
		if got := p.Status(t).Totals.Upgrades; got["gone"] != 1 {
			return fmt.Errorf("upgrades %v", got)
		}
		return nil
	})
}

func await(t *testing.T, what string, event <-chan struct{}) {
	t.Helper()
	select {
	case <-event:
	case <-time.After(proc.Patience):
		t.Fatal("waited in vain for ", what)
	}
}

// cycles is how many WebSockets TestManyEndingsLeakNothing opens and ends.
func cycles(t *testing.T) int {
	if text := os.Getenv("HOLDFAST_CYCLES"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal("HOLDFAST_CYCLES: ", err)
		}
		return n
	}
	if testing.Short() {
		return 600
	}
	return 10_000
}

// Thousands of endings of every kind, side by side: every one is counted for its reason
// and side, has its line in the log, and leaves nothing behind (checked at the end of
// every test).
func TestManyEndingsLeakNothing(t *testing.T) {
	total, kinds := cycles(t), endings()
	p := holdfast(t, to(endingsBackend(t)))
	runEndings(t, p, kinds, total)

	tunnels, outcomes := map[string]int64{}, map[string]int64{}
	var switched int64
	for i, e := range kinds {
		n := int64((total - i + len(kinds) - 1) / len(kinds))
		outcomes[e.outcome] += n
		if e.side != "" {
			tunnels[e.reason+" "+e.side] += n
			switched += n
		}
	}
	proc.Until(t, "every end to be counted", func() error {
		sum := p.Status(t).Totals
		if err := same("upgrades", sum.Upgrades, outcomes); err != nil {
			return err
		}
		closes := map[string]int64{}
		for _, c := range sum.TunnelCloses {
			closes[c.Reason+" "+c.Side] += c.Count
		}
		return same("closes", closes, tunnels)
	})
	proc.Until(t, "every log line", func() error {
		log := p.AccessLog()
		if n := int64(strings.Count(log, "tunnel_close ")); n != switched {
			return fmt.Errorf("%d lines for %d tunnels", n, switched)
		}
		logged := map[string]int64{}
		for _, line := range strings.Split(log, "\n") {
			if strings.Contains(line, "tunnel_close ") {
				logged[word(line, "reason")+" "+word(line, "side")]++
			}
		}
		return same("logged closes", logged, tunnels)
	})
}

// runEndings plays total endings, the kinds in turn, some dozens at a time.
func runEndings(t *testing.T, p *proc.Proxy, kinds []ending, total int) {
	t.Helper()
	const atOnce = 50
	var next atomic.Int64
	var workers sync.WaitGroup
	failures := make(chan error, atOnce)
	for range atOnce {
		workers.Add(1)
		go func() {
			defer workers.Done()
			for {
				i := int(next.Add(1)) - 1
				if i >= total {
					return
				}
				e := kinds[i%len(kinds)]
				c := proc.TryFrom(fmt.Sprintf("127.0.0.%d", 2+i%7), p.Front())
				if c.Err() == nil {
					e.client(c, e.path())
					c.Close()
				}
				if err := c.Err(); err != nil {
					failures <- fmt.Errorf("%s: %w", e.name, err)
					return
				}
			}
		}()
	}
	workers.Wait()
	close(failures)
	for err := range failures {
		t.Error(err)
	}
	if t.Failed() {
		t.FailNow()
	}
}

// word is the value of key=value in a log line.
func word(line, key string) string {
	_, rest, _ := strings.Cut(line, " "+key+"=")
	value, _, _ := strings.Cut(rest, " ")
	return value
}

// same compares two counts by name; names with zero are as good as absent.
func same(what string, got, want map[string]int64) error {
	for name := range got {
		if got[name] != want[name] {
			return fmt.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	for name := range want {
		if got[name] != want[name] {
			return fmt.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	return nil
}

// A backend process that is killed ends its tunnels; the clients see it.
func TestBackendProcessKilled(t *testing.T) {
	backend, address := startRole(t, "backend")
	p := holdfast(t, proc.Spec{HTTP: classic, Vars: map[string]string{"backend": address}})
	const tunnels = 50
	var clients []*proc.Raw
	for range tunnels {
		c := proc.Dial(t, p.Front())
		c.Handshake("x", "/")
		clients = append(clients, c.EchoText("held"))
	}
	equal(t, "tunnels", p.Status(t).Totals.Tunnels, tunnels)
	backend.Kill()
	for _, c := range clients {
		c.ExpectEnd()
		c.Close()
	}
	proc.Until(t, "the tunnels to end on the upstream's side", func() error {
		return sideOnly(p.Status(t).Totals.TunnelCloses, "upstream", tunnels)
	})
	c := proc.Dial(t, p.Front())
	c.Send(get("/"))
	c.Body(c.Response(502))
}

// A client process that is killed ends its tunnels; the backend sees it.
func TestClientProcessKilled(t *testing.T) {
	b := proc.NewBackend(t, proc.Echo())
	p := holdfast(t, to(b))
	const tunnels = 50
	client, _ := startRole(t, "client",
		"HOLDFAST_TEST_ADDRESS="+p.Front(), "HOLDFAST_TEST_COUNT="+strconv.Itoa(tunnels))
	equal(t, "tunnels", p.Status(t).Totals.Tunnels, tunnels)
	client.Kill()
	proc.Until(t, "the tunnels to end on the client's side", func() error {
		return sideOnly(p.Status(t).Totals.TunnelCloses, "client", tunnels)
	})
	proc.Until(t, "the backend's connections to end", func() error {
		if b.Open() != 0 {
			return errors.New("some are open")
		}
		return nil
	})
}

// sideOnly checks that all of n closes were caused by one side.
func sideOnly(closes []proc.CloseCount, side string, n int64) error {
	var sum int64
	for _, c := range closes {
		if c.Side != side {
			return fmt.Errorf("closes %v", closes)
		}
		sum += c.Count
	}
	if sum != n {
		return fmt.Errorf("%d of %d closed: %v", sum, n, closes)
	}
	return nil
}
