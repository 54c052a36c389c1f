package steer

import (
	"errors"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"holdfast/internal/sys"
)

// patience bounds what the scheduler of a loaded machine may spoil.
const patience = 30 * time.Second

// unavailable is what a shard that takes no connections has for a load.
const unavailable = 1 << 31

// group is listening sockets on one address.
type group struct {
	t       testing.TB
	sockets []int32
	address *unix.SockaddrInet4
	taken   []int // connections that each socket has accepted
	clients []int
}

func listenAll(t testing.TB, count int) *group {
	t.Helper()
	g := &group{t: t, taken: make([]int, count)}
	t.Cleanup(g.close)
	address := netip.MustParseAddrPort("127.0.0.1:0")
	for range count {
		fd, errno := sys.ListenTCP(address, sys.ListenOptions{ReusePort: true, Backlog: 512})
		if errno != 0 {
			t.Fatal(errno)
		}
		g.sockets = append(g.sockets, fd)
		if g.address != nil {
			continue
		}
		bound, err := unix.Getsockname(int(fd))
		if err != nil {
			t.Fatal(err)
		}
		g.address = bound.(*unix.SockaddrInet4)
		address = netip.AddrPortFrom(address.Addr(), uint16(g.address.Port))
	}
	return g
}

func (g *group) close() {
	for i := range g.sockets {
		g.shut(i)
	}
	for _, fd := range g.clients {
		unix.Close(fd)
	}
}

// shut closes one socket, as a shard does when it ends.
func (g *group) shut(i int) {
	if g.sockets[i] >= 0 {
		sys.Close(g.sockets[i])
		g.sockets[i] = -1
	}
}

// dial connects, which fails if the connection is refused.
func (g *group) dial() {
	g.t.Helper()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		g.t.Fatal(err)
	}
	g.clients = append(g.clients, fd)
	if err := unix.Connect(fd, g.address); err != nil {
		g.t.Fatalf("connection %d: %v", len(g.clients), err)
	}
}

// accept takes all connections that have come, and returns how many each socket got.
func (g *group) accept() []int {
	g.t.Helper()
	got := make([]int, len(g.sockets))
	for i, fd := range g.sockets {
		for fd >= 0 {
			conn, _, errno := sys.Accept(fd)
			if errno != 0 {
				break
			}
			sys.Close(conn)
			got[i]++
			g.taken[i]++
		}
	}
	return got
}

// steering is a Steering with loads, or skips the test where it is not permitted.
func steering(t testing.TB, policy Policy, loads ...uint64) *Steering {
	t.Helper()
	s, err := New(policy, len(loads))
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOSYS) || errors.Is(err, ebpf.ErrNotSupported) {
		t.Skip("BPF is not to be had here:", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	for i, load := range loads {
		if s.loads != nil {
			s.Load(i).Store(load << 32)
		}
	}
	return s
}

func attach(t *testing.T, s *Steering, g *group) {
	t.Helper()
	err := s.Attach(g.sockets)
	if errors.Is(err, unix.ENOPROTOOPT) {
		t.Skip("reuseport groups take no programs here, as in an emulator:", err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// slot32 reads a part of a shard's slot.
func (s *Steering) slot32(shard, at int) uint32 {
	word := s.words.Word((shard*slotSize + at) / 8).Load()
	if at%8 != 0 {
		return uint32(word >> 32)
	}
	return uint32(word)
}

// window is the last window in which the program has counted anything.
func (s *Steering) window() (number uint32) {
	for i := range s.shards {
		number = max(number, s.slot32(i, windowAt))
	}
	return number
}

// serve accepts what has come and publishes it as a shard does, where it adds to the loads.
func (g *group) serve(s *Steering, loads []uint64) {
	g.t.Helper()
	for i, n := range g.accept() {
		loads[i] += uint64(n)
		s.publish(i, loads[i], g.taken[i])
	}
}

func (s *Steering) publish(shard int, load uint64, accepted int) {
	s.Load(shard).Store(load<<32 | uint64(uint32(accepted)))
}

// burst dials without that anybody accepts meanwhile, until all of it fell into one window
// in which nothing else did.
func (g *group) burst(s *Steering, count int) []int {
	g.t.Helper()
	loads := make([]uint64, s.shards)
	for i := range loads {
		loads[i] = s.Load(i).Load() >> 32
	}
	for end := time.Now().Add(patience); time.Now().Before(end); {
		before := s.window()
		first := s.expected()
		for range count {
			g.dial()
		}
		got := g.accept()
		for i := range loads {
			s.publish(i, loads[i], g.taken[i])
		}
		whole := true // all shards that got any began a window, and the same
		for i, n := range got {
			whole = whole && (n == 0 || s.slot32(i, windowAt) == s.window() && s.slot32(i, expectedAt)-first[i] == uint32(n))
		}
		if whole && s.window() > before {
			return got
		}
	}
	g.t.Skip("the machine is too busy: a burst never fits into a window")
	return nil
}

func (s *Steering) expected() (all []uint32) {
	for i := range s.shards {
		all = append(all, s.slot32(i, expectedAt))
	}
	return all
}

// A burst fills up the shards that have less, although nobody accepts meanwhile.
func TestBurstGoesToTheLeast(t *testing.T) {
	for _, tc := range []struct {
		loads []uint64
		count int
		want  []int
	}{
		{[]uint64{0, 0}, 64, []int{32, 32}},
		{[]uint64{5, 0, 3}, 10, []int{1, 6, 3}},
		{[]uint64{1_000_000, 999_990}, 10, []int{0, 10}},
		{[]uint64{unavailable, 7, unavailable, 7}, 20, []int{0, 10, 0, 10}},
		{[]uint64{unavailable, unavailable}, 20, []int{10, 10}},
		{make([]uint64, allUpTo), 3 * allUpTo, slices.Repeat([]int{3}, allUpTo)},
	} {
		s, g := steering(t, Least, tc.loads...), listenAll(t, len(tc.loads))
		attach(t, s, g)
		if got := g.burst(s, tc.count); !slices.Equal(got, tc.want) {
			t.Errorf("loads %v: the shards get %v, want %v", tc.loads, got, tc.want)
		}
	}
}

// Shards that accept and publish at once stay even, and what closes is made up for at once.
func TestLoadsStayEven(t *testing.T) {
	loads := make([]uint64, 4)
	s, g := steering(t, Least, loads...), listenAll(t, 4)
	attach(t, s, g)
	even := func(count int, within uint64) {
		t.Helper()
		for range count {
			g.dial()
			g.serve(s, loads)
		}
		if slices.Max(loads)-slices.Min(loads) > within {
			t.Fatalf("loads %v", loads)
		}
	}
	even(64, 0)
	loads[2] = 0
	s.publish(2, 0, g.taken[2])
	even(16, 0)
	loads[1], loads[3] = 100, 99
	s.publish(1, 100, g.taken[1])
	s.publish(3, 99, g.taken[3])
	even(200, 1)
}

// A shard that accepts late is not taken for one that has less.
func TestLateShard(t *testing.T) {
	loads := make([]uint64, 2)
	s, g := steering(t, Least, loads...), listenAll(t, 2)
	attach(t, s, g)
	started := time.Now()
	for range 100 {
		g.dial()
		late := g.sockets[1]
		g.sockets[1] = -1 // it does not run
		g.serve(s, loads)
		g.sockets[1] = late
	}
	if time.Since(started) > 1<<windowBits {
		t.Skip("the machine is too busy: what was on the way was given up")
	}
	g.serve(s, loads)
	if loads[0] != 50 || loads[1] != 50 {
		t.Errorf("loads %v", loads)
	}
}

// SYNs that never become connections are given up after a while, and connections that were
// not expected are made up for, so that later ones are dealt rightly.
func TestEstimateMends(t *testing.T) {
	for _, tc := range []struct {
		name     string
		accepted int // by the first shard, with nothing expected of it
	}{{"lost", -1000}, {"unexpected", 1000}} {
		loads := make([]uint64, 2)
		s, g := steering(t, Least, loads...), listenAll(t, 2)
		attach(t, s, g)
		g.taken[0] = tc.accepted
		s.publish(0, 0, tc.accepted)
		for end := time.Now().Add(patience); ; {
			if time.Now().After(end) {
				t.Fatalf("%s: after all this time %v is expected of shards that accepted %v", tc.name, s.expected(), g.taken)
			}
			g.dial()
			g.serve(s, loads)
			if s.expected()[0] == uint32(g.taken[0]) && s.expected()[1] == uint32(g.taken[1]) && g.taken[0] != tc.accepted {
				break
			}
		}
	}
}

// With many shards two are compared: all get their share, and the loads count.
func TestTwoChoices(t *testing.T) {
	const shards = 32
	loads := make([]uint64, shards)
	loads[0] = unavailable
	s, g := steering(t, Least, loads...), listenAll(t, shards)
	attach(t, s, g)
	got := g.burst(s, 10*shards)
	if got[0] != 0 {
		t.Errorf("a shard that takes none gets %d", got[0])
	}
	// One random choice gives the fullest of 32 about 10 more than the mean of 10; of two
	// it is 2 or 3 more, and 8 once in ages.
	if slices.Max(got) > 18 || slices.Min(got[1:]) == 0 {
		t.Errorf("the shards get %v", got)
	}
}

// The largest number of shards makes a program that the verifier takes.
func TestManyShards(t *testing.T) {
	for _, shards := range []int{allUpTo, allUpTo + 1, 64, 1024} {
		s := steering(t, Least, make([]uint64, shards)...)
		sockets := listenAll(t, 2).sockets
		array, err := socketArray(sockets)
		if err != nil {
			t.Fatal(err)
		}
		program, err := ebpf.NewProgram(least(s.loads.FD(), array.FD(), shards))
		if err != nil {
			t.Fatalf("%d shards: %v", shards, err)
		}
		program.Close()
		array.Close()
	}
}

// As shards end one by one, no connection is refused while one of them listens, whatever
// the order, and whether or not the one that ends has said so.
func TestNoneRefusedWhileOneListens(t *testing.T) {
	for _, policy := range []Policy{Hash, CPU, Least} {
		for _, order := range [][]int{{0, 1, 2}, {3, 2, 1}, {1, 3, 0}} {
			for _, says := range []bool{true, false} {
				s, g := steering(t, policy, 0, 0, 0, 0), listenAll(t, 4)
				attach(t, s, g)
				for _, i := range order {
					for range 20 {
						g.dial()
					}
					g.accept()
					if load := s.Load(i); load != nil && says {
						load.Store(unavailable << 32)
					}
					g.shut(i)
				}
				for range 20 {
					g.dial()
				}
				if got := g.accept(); got[0]+got[1]+got[2]+got[3] != 20 {
					t.Errorf("policy %d, order %v: the last socket gets %v of 20", policy, order, got)
				}
			}
		}
	}
}

// The place in the array decides, and not the order in which the sockets began to listen,
// which an inherited or reopened socket changes.
func TestOrderOfSocketsDoesNotMatter(t *testing.T) {
	s, g := steering(t, Least, unavailable, unavailable, 0), listenAll(t, 3)
	slices.Reverse(g.sockets)
	attach(t, s, g)
	if got := g.burst(s, 10); !slices.Equal(got, []int{0, 0, 10}) {
		t.Errorf("the shards get %v", got)
	}
}

// All addresses share the loads: what one gets counts for the next.
func TestAddressesShareLoads(t *testing.T) {
	loads := []uint64{10, 0}
	s, a, b := steering(t, Least, loads...), listenAll(t, 2), listenAll(t, 2)
	attach(t, s, a)
	attach(t, s, b)
	for range 10 {
		for _, g := range []*group{a, b} {
			g.dial()
			for i, n := range g.accept() {
				loads[i] += uint64(n)
				s.publish(i, loads[i], a.taken[i]+b.taken[i])
			}
		}
	}
	if loads[0] != 15 || loads[1] != 15 {
		t.Errorf("loads %v", loads)
	}
}

func TestByCPU(t *testing.T) {
	const shards = 3
	s, g := steering(t, CPU, make([]uint64, shards)...), listenAll(t, shards)
	attach(t, s, g)
	if s.Load(0) != nil {
		t.Error("there are loads to keep that nobody reads")
	}
	var may unix.CPUSet
	if err := unix.SchedGetaffinity(0, &may); err != nil {
		t.Fatal(err)
	}
	runtime.LockOSThread() // for good: the thread ends with the test
	for cpu := range runtime.NumCPU() {
		if !may.IsSet(cpu) {
			continue
		}
		var one unix.CPUSet
		one.Set(cpu)
		if err := unix.SchedSetaffinity(0, &one); err != nil {
			t.Skip("CPUs can't be chosen here:", err)
		}
		for range 8 {
			g.dial() // on loopback the SYN is handled where it was sent
		}
		if got := g.accept(); got[cpu%shards] != 8 {
			t.Errorf("CPU %d: the shards get %v", cpu, got)
		}
	}
}

// Without the privileges the error says what it takes.
func TestWithoutPrivileges(t *testing.T) {
	setting, _ := os.ReadFile("/proc/sys/kernel/unprivileged_bpf_disabled")
	runtime.LockOSThread() // for good: the thread without capabilities ends with the test
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		t.Skip("capabilities can't be dropped here:", err)
	}
	s, err := New(Least, 2)
	if err == nil {
		defer s.Close()
		err = s.Attach(listenAll(t, 2).sockets)
	}
	if err == nil {
		t.Fatalf("it works without privileges; kernel.unprivileged_bpf_disabled is %s", setting)
	}
	if errors.Is(err, unix.EPERM) && !strings.Contains(err.Error(), "CAP_BPF") {
		t.Errorf("the error gives no advice: %v", err)
	}
	s, err = New(CPU, 2)
	if err != nil {
		t.Fatal(err)
	}
	attach(t, s, listenAll(t, 2)) // choosing by CPU takes none
}

// One shard has nothing to choose from, and hash nothing to do.
func TestNothingToSteer(t *testing.T) {
	for _, s := range []*Steering{nil, steering(t, Least, 0), steering(t, Hash, 0, 0)} {
		if s.Load(0) != nil {
			t.Error("there are loads to keep that nobody reads")
		}
		if s != nil {
			attach(t, s, listenAll(t, s.shards))
		}
		s.Close()
	}
}

// What can't be attached is an error, not a crash.
func TestAttachFails(t *testing.T) {
	for _, policy := range []Policy{CPU, Least} {
		s := steering(t, policy, 0, 0)
		if err := s.Attach([]int32{-1, -1}); err == nil {
			t.Errorf("policy %d: no error", policy)
		}
	}
}
