package config_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sort"
	"strings"
	"testing"

	"holdfast/config"
)

// geoValue searches a Geo as its comment says.
func geoValue(g *config.Geo, a netip.Addr) string {
	if a.Is6() {
		b := a.As16()
		at := sort.Search(len(g.Starts6), func(i int) bool { return string(g.Starts6[i][:]) > string(b[:]) })
		return g.Values[g.Index6[at-1]]
	}
	b := a.As4()
	n := binary.BigEndian.Uint32(b[:])
	at := sort.Search(len(g.Starts4), func(i int) bool { return g.Starts4[i] > n })
	return g.Values[g.Index4[at-1]]
}

func load(text string) (*config.Config, []config.Problem) {
	return config.LoadText("/etc/h/nginx.conf", text, hermetic(nil))
}

func loadGeo(t *testing.T, block string) (*config.Geo, []config.Problem) {
	t.Helper()
	cfg, problems := load(inHTTP("geo $g {\n" + block + "\n}"))
	if cfg == nil {
		t.Fatal(problems)
	}
	return cfg.HTTP.Maps[0].Geo, problems
}

// A geo block of random networks, some written twice or deleted, gives every address what going
// through its lines gives.
func TestGeoNetworks(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	random := func() netip.Addr {
		ends := []byte{0, 1, 127, 128, 254, 255}
		if rng.IntN(2) == 0 {
			return netip.AddrFrom4([4]byte{ends[rng.IntN(6)], ends[rng.IntN(6)], ends[rng.IntN(6)], ends[rng.IntN(6)]})
		}
		return netip.AddrFrom16([16]byte{ends[rng.IntN(6)], 1: ends[rng.IntN(6)], 15: ends[rng.IntN(6)]})
	}
	for range 300 {
		var text strings.Builder
		networks, order := map[netip.Prefix]string{}, []netip.Prefix{}
		for i := range rng.IntN(30) {
			a := random()
			p := netip.PrefixFrom(a, rng.IntN(a.BitLen()+1)).Masked()
			if len(order) > 0 && rng.IntN(4) == 0 {
				p = order[rng.IntN(len(order))]
			}
			if rng.IntN(5) == 0 {
				fmt.Fprintf(&text, "delete %s;\n", p)
				delete(networks, p)
				continue
			}
			fmt.Fprintf(&text, "%s v%d;\n", p, i)
			networks[p] = fmt.Sprintf("v%d", i)
			order = append(order, p)
		}
		g, _ := loadGeo(t, text.String())
		for range 200 {
			a, want, bits := random(), "", -1
			for p, value := range networks {
				if p.Contains(a) && p.Bits() > bits {
					want, bits = value, p.Bits()
				}
			}
			if got := geoValue(g, a); got != want {
				t.Fatalf("%s is %q, want %q in\n%s", a, got, want, &text)
			}
		}
	}
}

// A geo block of random ranges gives every address what the last range has said that holds it, and
// takes ranges inside others only.
func TestGeoRanges(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	address := func() uint32 { return uint32(rng.IntN(6))<<15 | uint32(rng.IntN(8)) }
	text := func(n uint32) string {
		return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}).String()
	}
	type span struct{ low, high uint32 }
	refused := 0
	for range 2000 {
		var conf strings.Builder
		conf.WriteString("ranges;\ndefault none;\n")
		var spans []span
		fits := true
		for i := range 1 + rng.IntN(6) {
			s := span{address(), address()}
			if s.low > s.high {
				s.low, s.high = s.high, s.low
			}
			for _, old := range spans {
				inside := old.low <= s.low && s.high <= old.high
				if s.high < old.low || old.high < s.low || inside {
					continue
				}
				// A range ends for this purpose where a block of 65,536 addresses does, as in nginx.
				fits = fits && (old.low <= s.low || old.low&0xffff == 0) && (s.high <= old.high || old.high&0xffff == 0xffff)
			}
			spans = append(spans, s)
			fmt.Fprintf(&conf, "%s-%s v%d;\n", text(s.low), text(s.high), i)
		}
		cfg, problems := load(inHTTP("geo $g {\n" + conf.String() + "}"))
		if (cfg != nil) != fits {
			t.Fatalf("accepted %v, want %v:\n%s%v", cfg != nil, fits, &conf, problems)
		}
		if cfg == nil {
			refused++
			continue
		}
		for range 50 {
			n, want := address()+uint32(rng.IntN(3))-1, "none"
			for i, s := range spans {
				if s.low <= n && n <= s.high {
					want = fmt.Sprintf("v%d", i)
				}
			}
			if got := geoValue(cfg.HTTP.Maps[0].Geo, netip.MustParseAddr(text(n))); got != want {
				t.Fatalf("%s is %q, want %q in\n%s", text(n), got, want, &conf)
			}
		}
	}
	if refused < 100 || refused > 1900 {
		t.Errorf("%d of 2000 were refused", refused)
	}
}

func TestGeoParameters(t *testing.T) {
	g, problems := loadGeo(t, `default out; proxy 10.0.0.0/8; proxy_recursive; 10.0.0.0/8 a; 10.1.0.0/16 b; 2001:db8::/32 b;
		10.2.3.4 a; 255.255.255.255 unix; delete 10.2.3.4;`)
	if len(problems) > 0 || len(g.Proxies) != 1 || !g.Recursive || len(g.Values) != 5 {
		t.Errorf("%+v %v", g, problems)
	}
	for addr, want := range map[string]string{
		"9.1.1.1": "out", "10.0.0.1": "a", "10.1.255.255": "b", "10.2.3.4": "a", "2001:db8::1": "b", "::1": "out",
		"255.255.255.254": "out", "255.255.255.255": "unix",
	} {
		if got := geoValue(g, netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: %q, want %q", addr, got, want)
		}
	}
	g, _ = loadGeo(t, `ranges; default out; 10.0.0.0-10.255.255.255 a; 10.1.0.0-10.1.0.9 b; delete 10.1.0.0-10.1.0.9;
		255.255.255.0-255.255.255.255 end; 0.0.0.0-0.0.0.0 first;`)
	for addr, want := range map[string]string{
		"9.1.1.1": "out", "10.0.0.1": "a", "10.1.0.10": "a", "10.1.0.1": "out", "255.255.255.255": "end", "0.0.0.0": "first",
		"0.0.0.1": "out",
	} {
		if got := geoValue(g, netip.MustParseAddr(addr)); got != want {
			t.Errorf("ranges: %s: %q, want %q", addr, got, want)
		}
	}
	if len(g.Starts6) != 0 {
		t.Error("ranges have addresses of IPv6")
	}
}

// A file of 300,000 networks takes eight bytes for each of its spans, and each value once.
func TestGeoLarge(t *testing.T) {
	const networks = 300_000
	var text strings.Builder
	for i := range networks {
		fmt.Fprintf(&text, "%d.%d.%d.0/24 value%d;\n", i>>16+1, i>>8&255, i&255, i%251)
	}
	files := map[string]string{"nginx.conf": "events { }\nhttp {\ngeo $g { include big.conf; default out; }\n}", "big.conf": text.String()}
	cfg, problems := config.LoadText("nginx.conf", files["nginx.conf"], config.Options{
		ReadFile: func(path string) ([]byte, error) { return []byte(files[path]), nil },
	})
	if cfg == nil {
		t.Fatal(problems)
	}
	g := cfg.HTTP.Maps[0].Geo
	if len(g.Values) != 253 || len(g.Starts4) < networks-1 || len(g.Starts4) > networks+5 || len(g.Index4) != len(g.Starts4) {
		t.Errorf("%d values, %d spans", len(g.Values), len(g.Starts4))
	}
	for _, i := range []int{0, 1, 65_535, 65_536, networks - 1} {
		a := netip.AddrFrom4([4]byte{byte(i>>16 + 1), byte(i >> 8), byte(i), 77})
		if got, want := geoValue(g, a), fmt.Sprintf("value%d", i%251); got != want {
			t.Errorf("%s: %q, want %q", a, got, want)
		}
	}
}
