package shard

import (
	"net/netip"
	"testing"

	"holdfast/route"
	"holdfast/upstream"
)

// TestChoiceIsFilledIn: what a group's method wants is there before the first try, and stays for
// the next ones.
func TestChoiceIsFilledIn(t *testing.T) {
	c := route.NewCompiler(route.Process{}, nil)
	key, err := c.Compile("$remote_addr!")
	if err != nil {
		t.Fatal(err)
	}
	client := netip.MustParseAddrPort("203.0.113.9:1234")
	for _, test := range []struct {
		name   string
		method upstream.Method
		number int
		want   uint64
	}{
		{"hash", upstream.Hash, 0, upstream.HashKey([]byte("203.0.113.9!"))},
		{"hash consistent", upstream.ConsistentHash, 0, upstream.HashKey([]byte("203.0.113.9!"))},
		{"ip_hash", upstream.IPHash, 0, upstream.AddressKey(client.Addr())},
		{"round robin", upstream.RoundRobin, 0, 0},
		{"a group that the configuration does not have", upstream.Hash, -1, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			spec := upstream.GroupSpec{Name: "u", Number: test.number, Balance: upstream.Balance{Method: test.method}}
			for i := range 3 {
				addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(i)}), 80)
				spec.Servers = append(spec.Servers, upstream.ServerSpec{Name: addr.String(), Addr: addr, Weight: 1})
			}
			g, err := upstream.NewGroup(upstream.NewRegistry(), spec)
			if err != nil {
				t.Fatal(err)
			}
			sh := &Shard{}
			r := &Request{group: g, snapshot: &Snapshot{Groups: []*upstream.Group{g}, Balancing: []Balancing{{Key: key}}}}
			r.env.Reset()
			r.env.Remote = client
			first := sh.choose(r)
			if first == nil || r.choice.Key != test.want {
				t.Fatalf("picked %v by %x, want %x", first, r.choice.Key, test.want)
			}
			r.env.Remote = netip.MustParseAddrPort("198.51.100.1:1")
			if second := sh.choose(r); second == nil || second == first || r.choice.Key != test.want {
				t.Errorf("the next try picked %v by %x", second, r.choice.Key)
			}
		})
	}
}

// TestChoosingDoesNotAllocate, with a key of several variables.
func TestChoosingDoesNotAllocate(t *testing.T) {
	key, err := route.NewCompiler(route.Process{}, nil).Compile("$remote_addr:$remote_port")
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddrPort("127.0.0.1:80")
	g, err := upstream.NewGroup(upstream.NewRegistry(), upstream.GroupSpec{
		Name: "u", Balance: upstream.Balance{Method: upstream.ConsistentHash},
		Servers: []upstream.ServerSpec{{Name: addr.String(), Addr: addr, Weight: 1}},
	})
	if err != nil {
		t.Fatal(err)
	}
	sh := &Shard{out: make([]byte, 0, 1<<10)}
	r := &Request{group: g, snapshot: &Snapshot{Groups: []*upstream.Group{g}, Balancing: []Balancing{{Key: key}}}}
	r.env.Reset()
	r.env.Remote = netip.MustParseAddrPort("203.0.113.9:1234")
	if n := testing.AllocsPerRun(1000, func() {
		r.choice = upstream.Choice{}
		sh.choose(r).Release()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
