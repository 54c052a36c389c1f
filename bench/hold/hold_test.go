package main

import (
	"encoding/json"
	"net/netip"
	"os"
	"strings"
	"testing"

	"holdfast/bench/peers"
)

func TestPlan(t *testing.T) {
	for _, c := range []struct {
		tunnels, files             int
		proxies, clients, backends int
	}{
		{tunnels: 9000, files: 20_000, proxies: 1, clients: 1, backends: 1},
		{tunnels: 9600, files: 20_000, proxies: 1, clients: 1, backends: 1},
		{tunnels: 9601, files: 20_000, proxies: 2, clients: 1, backends: 1},
		{tunnels: 100_000, files: 20_000, proxies: 12, clients: 6, backends: 6},
		{tunnels: 500_000, files: 20_000, proxies: 56, clients: 26, backends: 27},
		{tunnels: 500_000, files: 1 << 20, proxies: 1, clients: 1, backends: 1},
		{tunnels: 1_000_000, files: 1 << 20, proxies: 2, clients: 1, backends: 2},
	} {
		p, err := planFor(c.tunnels, c.files)
		if err != nil {
			t.Fatal(err)
		}
		if p.Proxies != c.proxies || p.Clients != c.clients || p.Backends != c.backends {
			t.Errorf("%d tunnels, %d files: %+v", c.tunnels, c.files, p)
		}
		if p.Clients*(c.files-holderReserve) < c.tunnels || p.Backends*(c.files-holderReserve) < c.tunnels ||
			p.Proxies*p.Share < c.tunnels || 2*p.Share > c.files {
			t.Errorf("%d tunnels, %d files: %+v do not fit", c.tunnels, c.files, p)
		}
		checkShares(t, p)
	}
	for _, bad := range [][2]int{{0, 20_000}, {100, 1024}} {
		if p, err := planFor(bad[0], bad[1]); err == nil {
			t.Errorf("%v: %+v", bad, p)
		}
	}
}

// checkShares checks that clients get every tunnel once and backends different addresses,
// with no more tunnels each than there are ports.
func checkShares(t *testing.T, p plan) {
	t.Helper()
	next := 0
	for i := range p.Clients {
		first, count := p.clientShare(i)
		if first != next {
			t.Errorf("client %d begins at %d, not %d", i, first, next)
		}
		next += count
	}
	seen := map[netip.Addr]bool{}
	for i := range p.Backends {
		for _, a := range p.backendAddresses(i) {
			if seen[a] || !a.IsLoopback() {
				t.Errorf("%v for backend %d", a, i)
			}
			seen[a] = true
		}
	}
	if next != p.Tunnels || p.Tunnels/len(seen) > perAddress {
		t.Errorf("%d tunnels of %d; %d addresses", next, p.Tunnels, len(seen))
	}
}

const (
	slabinfo = `slabinfo - version: 2.1
# name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables <limit> …
TCP                 1300   2600   2368   13    8 : tunables    0    0    0 : slabdata    200    200      0
eventpoll_epi      32000  32000    128   32    1 : tunables    0    0    0 : slabdata   1000   1000      0
tiny                   3      4    128   32    1 : tunables    0    0    0 : slabdata      1      1      0
`
	meminfo = `MemTotal:       2000 kB
MemFree:         100 kB
MemAvailable:   1124 kB
Buffers:          50 kB
Cached:          250 kB
Shmem:            30 kB
SReclaimable:    100 kB
Slab:            512 kB
SUnreclaim:      256 kB
KernelStack:       8 kB
PageTables:       16 kB
Percpu:           32 kB
VmallocUsed:      64 kB
`
	sockstat = "sockets: used 15\nTCP: inuse 1 orphan 0 tw 3 alloc 7 mem 2\nUDP: inuse 9 mem 9\n"
	netstats = "TcpExt: A TCPKeepAlive B\nTcpExt: 1 42 3\nIpExt: TCPKeepAlive\nIpExt: 9\n"
	softirq  = "       CPU0 CPU1\n  TIMER: 10 20\n NET_RX: 5 6\n"
	sockets  = `  sl  local_address rem_address   st
   0: 0100007F:3A98 00000000:0000 0A 00000000:00000000
   1: 0100007F:3A98 00000000:0000 0A 00000000:00000000
   2: 0100007F:3A98 0100007F:1234 01 00000000:00000000
   3: 0100007F:3A99 00000000:0000 0A 00000000:00000000
`
	metrics = `# HELP go_gc_duration_seconds x
go_goroutines 7
go_gc_duration_seconds{quantile="0.75"} 9
go_gc_duration_seconds{quantile="1"} 0.002
go_gc_duration_seconds_sum 0.5
go_gc_duration_seconds_count 10
go_memstats_heap_inuse_bytes 1.5e+06
`
)

func TestMachineIsRead(t *testing.T) {
	var m machine
	m.readMeminfo(meminfo)
	m.readSockstat(sockstat)
	m.Caches = slabCaches(slabinfo)
	page := int64(os.Getpagesize())
	if m.Available != 1<<20 || m.Slab != 512<<10 || m.SUnreclaim != 256<<10 || m.Other != 120<<10 ||
		m.InUse != 1630<<10 {
		t.Errorf("meminfo: %+v", m)
	}
	if m.Sockets != 15 || m.TCP != 7 || m.TCPMemory != 2*page {
		t.Errorf("sockstat: %+v", m)
	}
	if len(m.Caches) != 2 || m.Caches["TCP"] != 800*page || m.Caches["eventpoll_epi"] != 1000*page {
		t.Errorf("slabinfo: %v", m.Caches)
	}
	if got := m.sockets(); got != 1800*page+7*dentrySize {
		t.Errorf("sockets: %d", got)
	}
	if got := netstat(netstats, "TcpExt", "TCPKeepAlive"); got != 42 {
		t.Errorf("netstat: %d", got)
	}
	if got := softirqs(softirq, "TIMER"); got != 30 {
		t.Errorf("softirqs: %d", got)
	}
	if got := dropped("0a 0000000f 1\n0b 00000010 2\n"); got != 31 {
		t.Errorf("dropped: %d", got)
	}
	if got := countListeners(sockets, 15000); got != 2 {
		t.Errorf("listeners: %d", got)
	}
	var g garbage
	g.add(metrics)
	g.add(metrics)
	if g != (garbage{Cycles: 20, PauseSum: 1, PauseWorst: 0.002, HeapInUse: 3e6, Goroutines: 14}) {
		t.Errorf("garbage: %+v", g)
	}
	if m, err := readMachine(); err != nil || m.Available == 0 || m.TCP < 0 {
		t.Errorf("this machine: %+v, %v", m, err)
	}
}

func TestVerdict(t *testing.T) {
	o := options{tunnels: 10, probe: "all", bytesMax: 100}
	good := result{Peer: peers.Holdfast, Opened: 10, Echoed: 10}
	good.Held.Proxy.PSS = 1000
	if err := good.verdict(o); err != nil {
		t.Error(err)
	}
	for want, spoil := range map[string]func(r *result){
		"9 of 10 tunnels could be opened": func(r *result) { r.Opened = 9 },
		"1 tunnels ended":                 func(r *result) { r.Dead = 1 },
		"8 of 10 tunnels carried":         func(r *result) { r.Echoed = 8 },
		"2 descriptors":                   func(r *result) { r.Closed.Proxy.Fds = 2 },
		"101 bytes a tunnel":              func(r *result) { r.Held.Proxy.PSS = 1010 },
	} {
		r := good
		spoil(&r)
		if err := r.verdict(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestTable pins the figures that are computed, not the layout.
func TestTable(t *testing.T) {
	held := func(r result, tcp int64, perSocket int64) result {
		r.Plan.Tunnels, r.Opened = 1000, 1000
		r.Held.Machine = machine{TCP: tcp, Slab: 1, Caches: map[string]int64{"TCP": tcp * (perSocket - dentrySize)}}
		return r
	}
	through := held(result{Peer: peers.Holdfast, Threads: 2, Retries: 1234}, 4000, 4100)
	through.Base.Proxy.PSS, through.Held.Proxy.PSS, through.Used.Proxy.PSS = 1<<20, 1<<20+188_000, 1<<20+190_000
	text := document{Results: []result{held(result{Peer: direct}, 2000, 4000), through}}.markdown()
	for _, want := range []string{
		"# 1,000 idle tunnels",
		"| | direct | holdfast |",
		"| **user memory per idle tunnel** | – | 188 B |",
		"| **after each carried a message** | – | 190 B |",
		"| tries repeated from another port | 0 | 1,234 |",
		"| kernel memory of sockets per tunnel | 8,000 B | 16,400 B |",
		"| **kernel memory of the proxy's two sockets** | – | 8,400 B |",
		"| `TCP` | 7610 | 15620 |",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is missing in\n%s", want, text)
		}
	}
	if strings.Contains(text, "not quiet") {
		t.Error("strangers where none were")
	}
	through.Held.Machine.TCP += 500
	if text := (document{Results: []result{through}}).markdown(); !strings.Contains(text, "by 500") {
		t.Errorf("500 strangers are not mentioned in\n%s", text)
	}
}

func TestAnswersAreJSON(t *testing.T) {
	a := answer{Addresses: []netip.AddrPort{netip.MustParseAddrPort("127.64.0.1:5")}, Count: 3}
	text, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var back answer
	if err := json.Unmarshal(text, &back); err != nil || back.Addresses[0] != a.Addresses[0] || back.Count != 3 {
		t.Errorf("%s: %+v, %v", text, back, err)
	}
	list := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.64.0.9")}
	if got, err := split(joined(list), netip.ParseAddr); err != nil || len(got) != 2 || got[1] != list[1] {
		t.Errorf("%v, %v", got, err)
	}
}
