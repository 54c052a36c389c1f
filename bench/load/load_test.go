package load_test

import (
	"context"
	"crypto/tls"
	"fmt"
	"testing"
	"time"

	"holdfast/bench/load"
	"holdfast/bench/load/front"
	"holdfast/test/proc"
	"holdfast/test/wire"
)

func echoTarget(t *testing.T) load.Target {
	t.Helper()
	s, err := wire.ListenEcho("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	target, err := load.ParseTarget("ws://" + s.Addr() + "/path?q")
	if err != nil {
		t.Fatal(err)
	}
	return target
}

func TestTunnelsHoldEchoAndClose(t *testing.T) {
	tunnels, err := load.OpenMany(context.Background(), echoTarget(t), 0, 200, 16)
	if err != nil || len(tunnels) != 200 {
		t.Fatalf("%d tunnels, %v", len(tunnels), err)
	}
	if n, err := load.EchoOn(tunnels, 10, 1<<20); n != 20 || err != nil {
		t.Errorf("%d echoed, %v", n, err)
	}
	if dead, err := load.CountDead(tunnels); dead != 0 {
		t.Errorf("%d dead: %v", dead, err)
	}
	load.CloseAll(tunnels)
}

func TestDeadTunnelsAreFound(t *testing.T) {
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		x.Switch()
		if x.Connection%2 == 1 {
			x.WaitEnd()
		}
	})
	tunnels, err := load.OpenMany(context.Background(), load.Target{Address: b.Addr, Path: "/"}, 0, 10, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer load.CloseAll(tunnels)
	proc.Until(t, "half of the tunnels to be dead", func() error {
		if dead, err := load.CountDead(tunnels); dead != 5 {
			return fmt.Errorf("%d of 10 are dead: %v", dead, err)
		}
		return nil
	})
}

func TestEchoLoopsCountEveryEcho(t *testing.T) {
	o := load.EchoOptions{Target: echoTarget(t), Connections: 4, Size: 64, Duration: 300 * time.Millisecond}
	closed, err := load.Echo(context.Background(), o)
	if err != nil || closed.Echoes == 0 || closed.Latency.Max < closed.Latency.P50 {
		t.Errorf("closed loop: %+v, %v", closed, err)
	}
	o.Rate = 1000
	open, err := load.Echo(context.Background(), o)
	if err != nil || open.Echoes != 300 {
		t.Errorf("fixed rate: %+v, %v; want 300 echoes", open, err)
	}
}

func TestStorm(t *testing.T) {
	r, err := load.Storm(context.Background(), echoTarget(t), 100, 8)
	if err != nil || r.Connections != 100 || r.PerSecond <= 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestChurnEndsAsPlanned(t *testing.T) {
	o := load.ChurnOptions{
		Target: echoTarget(t), Rate: 400, Duration: time.Second, Seed: 1,
		IdleMax: 20 * time.Millisecond, SizeMax: 1 << 20,
	}
	r := load.Churn(context.Background(), o)
	if r.Failed() != 0 || r.Sessions != 400 || len(r.Ends) != 4 {
		t.Errorf("%+v", r)
	}
	again := load.Churn(context.Background(), o)
	if again.Messages != r.Messages || again.Bytes != r.Bytes {
		t.Errorf("the same seed gave other sessions: %+v and %+v", r, again)
	}
}

// A session that is ended by the other side is counted as unexpected.
func TestChurnFindsABackendThatLeaves(t *testing.T) {
	b := proc.NewBackend(t, func(x *proc.Exchange) {
		x.Switch()
		if h, payload, err := wire.ReadFrame(x.Reader(), 1<<20); err == nil {
			x.SendBytes(wire.ServerFrame(h.Op, payload)) // one echo, then it leaves
		}
	})
	r := load.Churn(context.Background(), load.ChurnOptions{
		Target: load.Target{Address: b.Addr, Path: "/"}, Rate: 100, Duration: 500 * time.Millisecond,
		Seed: 2, IdleMax: time.Millisecond, SizeMax: 100,
	})
	if r.Failed() == 0 {
		t.Errorf("nothing unexpected in %+v", r)
	}
}

func TestParseTargetRefusesOtherURLs(t *testing.T) {
	for _, text := range []string{"ftp://a:1/", "ws://a/", "wss://a/", "a:1", "ws://%zz:1/"} {
		if _, err := load.ParseTarget(text); err == nil {
			t.Errorf("%q was accepted", text)
		}
	}
}

func TestTunnelsOverTLS(t *testing.T) {
	target := echoTarget(t)
	target.Secure, target.Address = true, front.Before(t, target.Address, &tls.Config{})
	tunnels, err := load.OpenMany(context.Background(), target, 0, 20, 4)
	defer load.CloseAll(tunnels)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := load.EchoOn(tunnels, 1, 16<<10); n != 20 || err != nil {
		t.Errorf("%d echoed, %v", n, err)
	}
	if dead, err := load.CountDead(tunnels); dead != 0 {
		t.Errorf("%d dead: %v", dead, err)
	}
}
