package e2e_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"

	"holdfast/test/proc"
	"holdfast/test/wire"
)

// A server that was dead comes back slowly where it has slow_start: with all of its weight only
// when that time is over.
func TestSlowStart(t *testing.T) {
	f := newFleet(t, 3)
	p := holdfast(t, proc.Spec{Vars: vars("a", f.addrs[0], "b", f.addrs[1], "c", f.addrs[2]), HTTP: `
		upstream hours { server {{a}} slow_start=5h fail_timeout=1s; server {{b}}; server {{c}}; }
		upstream least { least_conn; server {{a}} slow_start=5h fail_timeout=1s; server {{b}}; server {{c}}; }
		upstream moment { server {{a}} slow_start=1s fail_timeout=1s; server {{b}}; server {{c}}; }
		server {
			listen 127.0.0.1:{{port:front}};
			add_header X-Up $upstream_addr always;
			location /hours { proxy_pass http://hours; }
			location /least { proxy_pass http://least; }
			location /moment { proxy_pass http://moment; }
		}`})
	for i := range f.addrs {
		f.start(t, i)
	}
	for _, target := range []string{"/hours", "/least", "/moment"} {
		equal(t, target+" at first", asked(t, p, target, 30)[f.addrs[0]], 10)
	}
	f.processes[0].Kill()
	for _, target := range []string{"/hours", "/least", "/moment"} {
		equal(t, target+" while it is dead", asked(t, p, target, 30)[f.addrs[0]], 0)
	}
	f.start(t, 0)
	for _, target := range []string{"/hours", "/least", "/moment"} {
		proc.Until(t, "the server that is back at "+target, func() error {
			if asked(t, p, target, 1)[f.addrs[0]] == 0 {
				return fmt.Errorf("it gets nothing")
			}
			return nil
		})
	}
	for _, target := range []string{"/hours", "/least"} {
		if n := asked(t, p, target, 300)[f.addrs[0]]; n > 30 {
			t.Errorf("%s: the server that came back a moment ago got %d of 300 requests", target, n)
		}
	}
	proc.Until(t, "all of its share", func() error {
		if n := asked(t, p, "/moment", 30)[f.addrs[0]]; n != 10 {
			return fmt.Errorf("%d of 30", n)
		}
		return nil
	})
}

// The addresses of proxy_bind are used in turn, for tunnels and for requests.
func TestBindAddressesAreEven(t *testing.T) {
	b := proc.NewBackend(t, proc.Echo())
	const workers, each = 2, 60
	p := holdfast(t, proc.Spec{Workers: workers, Vars: vars("b", b.Addr), HTTP: `
		server {
			listen 127.0.0.1:{{port:front}};
			proxy_bind 127.0.3.1 127.0.3.2 127.0.3.3 127.0.3.4;
			location / { proxy_pass http://{{b}}; proxy_http_version 1.0; }
			location /ws {
				proxy_pass http://{{b}}; proxy_http_version 1.1;
				proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
			}
		}`})
	even := func(what string, seen []proc.Exchange) {
		t.Helper()
		counts := map[string]int{}
		for _, x := range seen {
			host, _, _ := net.SplitHostPort(x.Conn().RemoteAddr().String())
			counts[host]++
		}
		for i := 1; i <= 4; i++ {
			if n := counts[fmt.Sprint("127.0.3.", i)]; n < each-workers || n > each+workers {
				t.Errorf("%s by address: %v", what, counts)
			}
		}
	}
	for range 4 * each {
		c := proc.Dial(t, p.Front())
		c.Handshake("x", "/ws")
	}
	even("tunnels", b.Seen())
	before := len(b.Seen())
	for range 4 * each {
		c := proc.Dial(t, p.Front())
		c.Send("GET / HTTP/1.0\r\n\r\n")
		c.Body(c.Response(200))
		c.Close()
	}
	even("requests", b.Seen()[before:])
}

// Servers whose name moves come and go under load: no request fails, tunnels to a server that
// stays are not touched, those to one that has gone end within the time of "tunnels drain".
func TestNamesMoveUnderLoad(t *testing.T) {
	first := proc.NewBackend(t, proc.Echo())
	for i := 2; i <= 4; i++ {
		proc.NewBackendAt(t, fmt.Sprintf("127.0.0.%d:%s", i, portOf(first)), proc.Echo())
	}
	var where atomic.Pointer[[]netip.Addr]
	at := func(numbers ...int) (list []string) {
		var all []netip.Addr
		for _, n := range numbers {
			a := netip.AddrFrom4([4]byte{127, 0, 0, byte(n)})
			all, list = append(all, a), append(list, a.String()+":"+portOf(first))
		}
		where.Store(&all)
		return list
	}
	names := serveNames(t, func(string, int) []netip.Addr { return *where.Load() })
	here := at(1, 2)
	p := holdfast(t, proc.Spec{Vars: vars("names", names.addr, "port", portOf(first)), HTTP: `
		upstream moving {
			resolver {{names}} valid=50ms ipv6=off; keepalive 16; tunnels drain 500ms;
			server moving.test:{{port}} resolve;
		}
		server {
			listen 127.0.0.1:{{port:front}}; keepalive_requests 1000000;
			add_header X-Up $upstream_addr always;
			location / {
				proxy_pass http://moving; proxy_http_version 1.1;
				proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;
			}
		}`})
	answers(t, p, 200, "")
	scale := failoverScale{rate: 300, clients: 8, tunnels: 100, phase: 150}
	load := startFailoverLoad(t, p.Front(), scale)
	load.awaitPeer(t, here[0])
	load.awaitPeer(t, here[1])
	tunnels := openTunnels(t, p.Front(), scale.tunnels)
	gone := 0
	for _, next := range [][]int{{2, 3}, {1, 2, 4}} {
		there := at(next...)
		for _, addr := range there {
			load.awaitPeer(t, addr)
		}
		var stay []tunnelOf
		for _, c := range tunnels {
			if slices.Contains(there, c.peer) {
				stay = append(stay, c)
				continue
			}
			gone++
			if c.ExpectEnd(); c.Err() != nil {
				t.Fatalf("a tunnel to a server that has gone: %v", c.Err())
			}
			c.Close()
		}
		untouched(t, stay, "while other servers come and go")
		load.await(t, "requests to those that are there", scale.phase)
		load.expect(t, 0)
		tunnels = append(stay, openTunnels(t, p.Front(), scale.tunnels-len(stay))...)
		for _, c := range tunnels {
			if !slices.Contains(there, c.peer) {
				t.Errorf("a new tunnel to %s, of %v", c.peer, there)
			}
		}
	}
	load.stop()
	t.Logf("%s; tunnels that ended with their servers: %d", load, gone)
	if gone < scale.tunnels/2 {
		t.Errorf("only %d tunnels ended with their servers", gone)
	}
	settledAgain(t, p, tunnels, gone)
}

// secured is a TLS server that can die and come back at its address.
type secured struct {
	id   *identity
	addr string
	now  *rawServer
}

// live lets the server live: with the certificate of a name, or without TLS.
func (s *secured) live(t *testing.T, name string) {
	t.Helper()
	var config *tls.Config
	if name != "plain" {
		config = s.id.server(name)
	}
	s.now = serveRawAt(t, s.addr, config, func(c *proc.Raw) error {
		for {
			head, err := wire.ReadHead(c.Reader())
			if err != nil {
				return nil //nolint:nilerr // the proxy ends the connection when it likes
			}
			x := &proc.Exchange{Raw: c, Head: head}
			if retryOK(x); !x.Keep {
				return nil
			}
		}
	})
}

// A dead TLS server, and one that breaks handshakes, are passed over as in nginx; when it lives
// it gets its share.
func TestTLSServersDieAndLive(t *testing.T) {
	id := certify(t, "backend.test", "other.test")
	f := newFleet(t, 2)
	a, b := secured{id: id, addr: f.addrs[0]}, secured{id: id, addr: f.addrs[1]}
	v := vars("a", a.addr, "b", b.addr, "root", id.dir+"/root.pem")
	both(t, proc.Spec{Workers: 1, Vars: v, HTTP: `
		upstream two { server {{a}} fail_timeout=1s; server {{b}} fail_timeout=1s; keepalive 8; }
		server {
			listen 127.0.0.1:{{port:front}};
			add_header X-Up "$upstream_addr" always;
			proxy_ssl_verify on; proxy_ssl_trusted_certificate {{root}}; proxy_ssl_name backend.test; proxy_ssl_server_name on;
			proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;
			location / { proxy_pass https://two; }
		}`}, func(t *testing.T, p *proc.Proxy) {
		b.live(t, "backend.test")
		for _, way := range []string{"dead", "plain", "other.test"} {
			a.live(t, "backend.test")
			proc.Until(t, "both to answer", func() error {
				if counts := asked(t, p, "/", 4); counts[a.addr] != 2 {
					return fmt.Errorf("%v", counts)
				}
				return nil
			})
			tunnels := openTunnels(t, p.Front(), 8)
			its, others := split(tunnels, a.addr)
			equal(t, "tunnels to one of two", len(its), 4)
			a.now.close()
			for _, c := range its {
				c.ExpectEnd()
			}
			if way != "dead" {
				a.live(t, way)
			}
			equal(t, way, asked(t, p, "/", 10)[b.addr], 10)
			untouched(t, others, "while the other server is "+way)
			anew := openTunnels(t, p.Front(), 4)
			if back, _ := split(anew, a.addr); len(back) > 0 {
				t.Errorf("%d tunnels to a server that is %s", len(back), way)
			}
			if way != "dead" {
				a.now.close()
			}
		}
		b.now.close()
		noted(t, p, "while SSL handshaking to upstream")
	})
}
