package sample

import (
	"testing"
	"time"
)

const schedstatText = `version 15
timestamp 4295892342
cpu0 0 0 0 0 0 0 1500000000 200 300
domain0 MC 3 1 2 3 4 5 6 7 8
cpu1 0 0 0 0 0 0 500000000 200 300
`

func TestSchedstatSumsTheRunTimeOfAllCores(t *testing.T) {
	if got, err := parseSchedstat(schedstatText); err != nil || got != 2*time.Second {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "version 15\n", "cpu0 0 0 0 0 0 0 x 0 0\n"} {
		if _, err := parseSchedstat(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestCPUAcct(t *testing.T) {
	if got, err := parseCPUAcct("17798947652314\n"); err != nil || got != 17798947652314 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := parseCPUAcct("none\n"); err == nil {
		t.Error("a word was accepted")
	}
}

func TestIdleCountsWhatNoTaskUsed(t *testing.T) {
	text := "cpu  409907 978490 334114 574475 2137 0 35202 4890 0 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n"
	want := (574475 + 2137 + 4890) * 10 * time.Millisecond
	if got, err := parseIdle(text); err != nil || got != want {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
	for _, bad := range []string{"", "intr 1 2 3 4 5 6 7 8\n", "cpu 1 2 3\n", "cpu 1 2 3 x 5 6 7 8\n"} {
		if _, err := parseIdle(bad); err == nil {
			t.Errorf("%q was accepted", bad)
		}
	}
}

func TestMeminfo(t *testing.T) {
	text := "MemTotal:       24000000 kB\nSlab:             90000 kB\nSUnreclaim:       40960 kB\n"
	if got, err := parseMeminfo(text); err != nil || got != 40<<20 {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := parseMeminfo("MemTotal: 1 kB\n"); err == nil {
		t.Error("a text without SUnreclaim was accepted")
	}
}

func TestSlabinfoCountsTheCachesOfSockets(t *testing.T) {
	text := `slabinfo - version: 2.1
# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables
TCP                  100    112   2432   13    8 : tunables    0    0    0 : slabdata      9      9      0
tw_sock_TCP          999    999    264   31    2 : tunables    0    0    0 : slabdata      1      1      0
eventpoll_epi         10     64    128   32    1 : tunables    0    0    0 : slabdata      2      2      0
`
	if got := parseSlabinfo(text); got != 100*2432+10*128 {
		t.Error(got)
	}
}

func TestSockstat(t *testing.T) {
	text := `sockets: used 15
TCP: inuse 4 orphan 3 tw 7 alloc 9 mem 156
UDP: inuse 0 mem 11
`
	if got, want := parseSockstat(text), (Sockets{Used: 15, TCP: 4, Orphans: 3, TimeWait: 7, MemPages: 156}); got != want {
		t.Errorf("%+v", got)
	}
}

func TestSoftirqs(t *testing.T) {
	text := "                    CPU0       CPU1\n      NET_TX:          5          1\n      NET_RX:      40      2\n"
	if rx, tx := parseSoftirqs(text); rx != 42 || tx != 6 {
		t.Error(rx, tx)
	}
}

// The account of this machine must grow by what this test burns.
func TestReadSeesWork(t *testing.T) {
	before, err := Read()
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for sum := 0; time.Now().Before(deadline); sum++ {
		if sum%1000 != 0 {
			continue
		}
		now, err := Read()
		if err != nil {
			t.Fatal(err)
		}
		if d := now.Since(before); d.CPU >= 20*time.Millisecond && d.Elapsed > 0 {
			return
		}
	}
	t.Error("the machine's CPU time does not grow")
}
