package main

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"holdfast/bench/hold/holder"
	"holdfast/bench/load"
	"holdfast/bench/peers"
	"holdfast/test/proc"
)

var errFew = errors.New("few")

func TestHoldfastHasNoReload(t *testing.T) {
	if _, err := measure(peers.Holdfast, options{}); err == nil || !strings.Contains(err.Error(), "not in this version") {
		t.Error(err)
	}
}

// TestTalk talks to a backend alone: nothing is lost, and every message is timed.
func TestTalk(t *testing.T) {
	backend, bound, err := holder.Listen([]netip.Addr{netip.MustParseAddr("127.0.0.1")})
	if err != nil {
		t.Fatal(err)
	}
	go backend.Serve() // for the life of the test binary
	target := load.Target{Address: bound[0].String(), Path: "/"}
	talk := newTalk(target)
	defer talk.close()
	if err := talk.add(3); err != nil {
		t.Fatal(err)
	}
	talk.start(1000)
	var all int64
	proc.Until(t, "50 messages and a new tunnel", func() error {
		if all += talk.take().count; all < 50 || talk.fresh.Load() == 0 {
			return errFew
		}
		return nil
	})
	if err := talk.add(2); err != nil {
		t.Error(err)
	}
	talk.end()
	if len(talk.tunnels) != 5 || talk.lost() != 0 || talk.failed.Load() != 0 || talk.firstFailure() != "" {
		t.Errorf("%d tunnels, %d lost, %d failed: %s", len(talk.tunnels), talk.lost(), talk.failed.Load(), talk.firstFailure())
	}
	talk.tunnels[0].dead = true
	if talk.lost() != 1 {
		t.Errorf("%d lost", talk.lost())
	}
}

func TestTable(t *testing.T) {
	o := options{tunnels: 7, more: 2, reloads: 3, every: time.Second, wait: time.Minute, rate: 5}
	text := table(o, []result{{peer: peers.Nginx, held: 13, lost: 4, processes: 3, left: 9, pssLeft: 3 << 20,
		quiet: latencies{p50: 1, p99: 2, max: 3}, why: "it broke"}})
	for _, want := range []string{"# 3 reloads", "| **of them lost** | 4 |", "| **processes 1m0s after the last reload** | 9 |",
		"| **PSS then** | 3.0 MiB |", "| 1, 2, 3 µs |", "nginx, the first failure: it broke"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
}
