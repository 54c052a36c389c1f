package e2e_test

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"

	"holdfast/test/proc"
)

// portOf is the port of a backend.
func portOf(b *proc.Backend) string {
	_, number, _ := net.SplitHostPort(b.Addr)
	return number
}

// noted waits for a text in the error log.
func noted(t *testing.T, p *proc.Proxy, text string) {
	t.Helper()
	proc.Until(t, "a line in the error log", func() error {
		if !strings.Contains(p.ErrorLog(), text) {
			return fmt.Errorf("no %q in %s", text, p.ErrorLog())
		}
		return nil
	})
}

// A name that only a request yields is resolved, as with nginx, and fails with nginx's texts.
func TestProxyPassResolvesNames(t *testing.T) {
	b := proc.NewBackend(t, proc.Answer(200, "in"))
	names := serveNames(t, func(name string, _ int) []netip.Addr {
		switch name {
		case "here.test":
			return addrs("127.0.0.1")
		case "second.test": // nobody listens at the first
			return addrs("127.0.0.9", "127.0.0.1")
		case "silent.test":
			return silence
		case "empty.test":
			return []netip.Addr{}
		}
		return nil
	})
	both(t, proc.Spec{Vars: vars("names", names.addr, "backend", portOf(b)), HTTP: `
		server {
			listen 127.0.0.1:{{port:front}};
			location /to/ { resolver {{names}} ipv6=off; resolver_timeout 500ms; proxy_pass http://$arg_to:{{backend}}; }
			location /without/ { proxy_pass http://$arg_to:{{backend}}; }
			location /path/ { resolver {{names}} ipv6=off; proxy_pass http://$arg_to:{{backend}}/other?a=b; }
		}`}, func(t *testing.T, p *proc.Proxy) {
		status := func(target string) int {
			t.Helper()
			c := proc.Dial(t, p.Front())
			defer c.Close()
			head := c.Send(get(target)).Head()
			return head.Status()
		}
		for _, name := range []string{"here.test", "HERE.test", "second.test"} {
			equal(t, name, status("/to/?to="+name), 200)
		}
		equal(t, "with a path", status("/path/?to=here.test"), 200)
		equal(t, "the target", b.Last(t).Head.Target(), "/other?a=b")
		equal(t, "no such name", status("/to/?to=nothing.test"), 502)
		noted(t, p, "nothing.test could not be resolved (3: Host not found)")
		equal(t, "no address", status("/to/?to=empty.test"), 502)
		noted(t, p, "empty.test could not be resolved (3: Host not found)")
		equal(t, "no answer", status("/to/?to=silent.test"), 502)
		noted(t, p, "silent.test could not be resolved (110: Operation timed out)")
		equal(t, "no resolver", status("/without/?to=here.test"), 502)
		noted(t, p, "no resolver defined to resolve here.test")
		equal(t, "an address without resolver", status("/without/?to=127.0.0.1"), 200)
	})
}

// Requests to one name share idle connections to its peers, and a WebSocket finds its way.
func TestProxyPassNamesKeepConnections(t *testing.T) {
	b := proc.NewBackend(t, proc.ByPath(map[string]proc.Behaviour{
		"/": func(x *proc.Exchange) { x.Keep = true; proc.Answer(200, "in")(x) }, "/ws": proc.Echo(),
	}))
	names := serveNames(t, func(string, int) []netip.Addr { return addrs("127.0.0.1") })
	p := holdfast(t, proc.Spec{Workers: 1, Vars: vars("names", names.addr, "backend", portOf(b)), HTTP: `
		server { listen 127.0.0.1:{{port:front}}; resolver {{names}} valid=1ms; location / { proxy_pass http://$host:{{backend}}; } }`})
	for range 5 {
		c := proc.Dial(t, p.Front())
		c.Send(get("/")).Response(200)
		c.Close()
		proc.Until(t, "the connection to idle", func() error {
			if n := p.Status(t).Totals.UpstreamIdle; n != 1 {
				return fmt.Errorf("%d idle", n)
			}
			return nil
		})
	}
	equal(t, "connections", b.Connections(), 1)
	c := proc.Dial(t, p.Front())
	c.Handshake("ws.test", "/ws")
	c.EchoText("hello")
	metrics := p.Metrics(t)
	if metrics["holdfast_resolver_questions_total"] < 2 || metrics["holdfast_resolver_answers_total"] < 2 {
		t.Errorf("questions %v, answers %v", metrics["holdfast_resolver_questions_total"], metrics["holdfast_resolver_answers_total"])
	}
}

// While name servers fail, the last answer is used, and logged.
func TestProxyPassStaleName(t *testing.T) {
	b := proc.NewBackend(t, proc.Answer(200, "in"))
	names := serveNames(t, func(_ string, nth int) []netip.Addr {
		if nth == 0 {
			return addrs("127.0.0.1")
		}
		return silence
	})
	p := holdfast(t, proc.Spec{Vars: vars("names", names.addr, "backend", portOf(b)), HTTP: `
		server { listen 127.0.0.1:{{port:front}}; resolver {{names}} valid=1ms ipv6=off; resolver_timeout 200ms;
			location / { proxy_pass http://$host:{{backend}}; } }`})
	proc.Until(t, "a second question", func() error {
		c := proc.Dial(t, p.Front())
		defer c.Close()
		c.Send(get("/")).Response(200)
		if n := len(names.questions()); n < 2 {
			return fmt.Errorf("%d questions", n)
		}
		return nil
	})
	noted(t, p, "test.example could not be resolved (110: Operation timed out); its last answer is used")
}

func TestStreamResolvesNames(t *testing.T) {
	b := serveRaw(t, sayRaw("in"))
	_, number, _ := net.SplitHostPort(b.addr)
	names := serveNames(t, func(name string, _ int) []netip.Addr {
		switch name {
		case "here.test":
			return addrs("127.0.0.9", "127.0.0.1")
		case "silent.test":
			return silence
		}
		return nil
	})
	const block = `
		map $server_port $to { {{port:front}} here.test:{{backend}}; {{port:gone}} gone.test:{{backend}};
			{{port:silent}} silent.test:{{backend}}; {{port:bare}} here.test; {{port:without}} here.test:{{backend}}; }
		server {
			listen 127.0.0.1:{{port:front}}; listen 127.0.0.1:{{port:gone}}; listen 127.0.0.1:{{port:silent}};
			listen 127.0.0.1:{{port:bare}};
			resolver {{names}} ipv6=off; resolver_timeout 500ms; proxy_pass $to;
		}
		server { listen 127.0.0.1:{{port:without}}; proxy_pass $to; }`
	bothStreams(t, block, vars("names", names.addr, "backend", number), func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		c.Expect("in")
		c.Close()
		for _, tc := range [][2]string{
			{"gone", "gone.test could not be resolved (3: Host not found)"},
			{"silent", "silent.test could not be resolved (110: Operation timed out)"},
			{"bare", "no port in upstream"},
			{"without", "no resolver defined to resolve here.test"},
		} {
			c := proc.Dial(t, p.Addr(tc[0]))
			c.ExpectEnd()
			c.Close()
			noted(t, p, tc[1])
		}
	})
}

// upstreamNamed passes everything to a group whose server is a name.
const upstreamNamed = `
	upstream named { resolver {{names}} valid=100ms ipv6=off; server {{server}}; {{policy}} }
	server { listen 127.0.0.1:{{port:front}}; location / { proxy_pass http://named; } }`

func upstreamOf(t *testing.T, names *nameServer, server, policy string) *proc.Proxy {
	t.Helper()
	return holdfast(t, proc.Spec{HTTP: upstreamNamed, Vars: vars("names", names.addr, "server", server, "policy", policy)})
}

// twoBackends listen at one port of two addresses.
func twoBackends(t *testing.T, play func(name string) proc.Behaviour) (first, second *proc.Backend) {
	t.Helper()
	first = proc.NewBackend(t, play("first"))
	return first, proc.NewBackendAt(t, "127.0.0.2:"+portOf(first), play("second"))
}

// answers asks until an answer has this status and body.
func answers(t *testing.T, p *proc.Proxy, status int, body string) {
	t.Helper()
	proc.Until(t, "an answer of "+body, func() error {
		c := proc.Dial(t, p.Front())
		defer c.Close()
		head := c.Send(get("/")).Head()
		if got := string(c.Body(head)); head.Status() != status || body != "" && got != body {
			return fmt.Errorf("%s %q", head.Start, got)
		}
		return nil
	})
}

// A name that is not known when holdfast starts is found later, followed when it moves, kept
// when nobody answers, and given up when it is gone.
func TestUpstreamResolve(t *testing.T) {
	first, _ := twoBackends(t, func(name string) proc.Behaviour { return proc.Answer(200, name) })
	var where atomic.Pointer[[]netip.Addr]
	names := serveNames(t, func(string, int) []netip.Addr {
		if list := where.Load(); list != nil {
			return *list
		}
		return nil
	})
	is := func(list []netip.Addr) { where.Store(&list) }
	p := upstreamOf(t, names, "later.test:"+portOf(first)+" resolve", "")
	answers(t, p, 502, "")
	noted(t, p, "later.test could not be resolved (3: Host not found), upstream: \"named\"")
	noted(t, p, "no live upstreams while connecting to upstream")
	is(addrs("127.0.0.1"))
	answers(t, p, 200, "first")
	is(addrs("127.0.0.2"))
	answers(t, p, 200, "second")
	is(silence)
	asked := len(names.questions())
	proc.Until(t, "another question", func() error {
		if n := len(names.questions()); n == asked {
			return fmt.Errorf("%d questions", n)
		}
		return nil
	})
	answers(t, p, 200, "second")
	where.Store(nil)
	answers(t, p, 502, "")
}

func TestStreamUpstreamResolve(t *testing.T) {
	b := serveRaw(t, sayRaw("in"))
	_, number, _ := net.SplitHostPort(b.addr)
	names := serveNames(t, func(name string, _ int) []netip.Addr {
		if name == "here.test" {
			return addrs("127.0.0.1")
		}
		return nil
	})
	p := holdfastStreams(t, `resolver {{names}} ipv6=off;
		upstream named { zone z 64k; server here.test:{{backend}} resolve; }
		server { listen 127.0.0.1:{{port:front}}; proxy_pass named; }`, vars("names", names.addr, "backend", number))
	proc.Until(t, "the server", func() error {
		c := proc.Try(p.Front())
		defer c.Close()
		c.Expect("in")
		return c.Err()
	})
}

// SRV records give ports and weights; those of a worse priority are backups.
func TestUpstreamService(t *testing.T) {
	first, second := proc.NewBackend(t, proc.Answer(200, "first")), proc.NewBackend(t, proc.Answer(200, "second"))
	names := serveNames(t, func(name string, _ int) []netip.Addr {
		if name == "a.shop.test" {
			return addrs("127.0.0.1")
		}
		return nil
	})
	number := func(b *proc.Backend) (n uint16) { _, _ = fmt.Sscan(portOf(b), &n); return n }
	names.serve("_http._tcp.shop.test", serviceRecord{1, 5, number(first), "a.shop.test"}, serviceRecord{2, 5, number(second), "a.shop.test"})
	p := upstreamOf(t, names, "shop.test service=http resolve", "")
	answers(t, p, 200, "first")
	for range 5 {
		answers(t, p, 200, "first")
	}
	first.Close()
	answers(t, p, 200, "second")
}

// serviceRecord is an SRV record: priority, weight, port, target.
type serviceRecord struct {
	priority, weight, port uint16
	target                 string
}

// serve has the name server answer with SRV records.
func (s *nameServer) serve(name string, records ...serviceRecord) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.services == nil {
		s.services = map[string][][]byte{}
	}
	for _, r := range records {
		data := binary.BigEndian.AppendUint16(nil, r.priority)
		data = binary.BigEndian.AppendUint16(data, r.weight)
		data = binary.BigEndian.AppendUint16(data, r.port)
		for label := range strings.SplitSeq(r.target, ".") {
			data = append(append(data, byte(len(label))), label...)
		}
		s.services[name] = append(s.services[name], append(data, 0))
	}
}

// What becomes of tunnels and idle connections to a server that a name has no longer.
func TestUpstreamPeerRemoved(t *testing.T) {
	for _, tc := range []struct {
		policy string
		ends   bool
	}{{"", false}, {"tunnels keep;", false}, {"tunnels close;", true}, {"tunnels drain 300ms;", true}} {
		t.Run(tc.policy, func(t *testing.T) {
			play := func(name string) proc.Behaviour {
				echo := proc.Echo()
				return func(x *proc.Exchange) {
					if x.Head.Get("Upgrade") != "" {
						echo(x)
						return
					}
					x.Keep = true
					proc.Answer(200, name)(x)
				}
			}
			first, second := twoBackends(t, play)
			var moved atomic.Bool
			names := serveNames(t, func(string, int) []netip.Addr {
				if moved.Load() {
					return addrs("127.0.0.2")
				}
				return addrs("127.0.0.1")
			})
			p := upstreamOf(t, names, "here.test:"+portOf(first)+" resolve", tc.policy)
			answers(t, p, 200, "first")
			const many = 20
			var tunnels []*proc.Raw
			for range many {
				c := proc.Dial(t, p.Front())
				c.Handshake("x", "/")
				c.EchoText("hello")
				tunnels = append(tunnels, c)
			}
			moved.Store(true)
			answers(t, p, 200, "second")
			healthy := proc.Dial(t, p.Front())
			healthy.Handshake("x", "/")
			healthy.EchoText("hello")
			left := many
			if tc.ends {
				left = 0
			}
			proc.Until(t, "the connections to the first server", func() error {
				if n := first.Open(); n != left {
					return fmt.Errorf("%d open", n)
				}
				return nil
			})
			for _, c := range tunnels {
				if tc.ends {
					c.ExpectEnd()
				} else {
					c.EchoText("still here")
				}
			}
			healthy.EchoText("still here")
			ended := int64(many - left)
			equal(t, "ended", proc.Closed(p.Status(t).Totals.TunnelCloses, "peer_removed", "proxy"), ended)
			if tc.ends {
				proc.Until(t, "the log lines", func() error {
					if n := strings.Count(p.AccessLog(), "reason=peer_removed side=proxy"); n != many {
						return fmt.Errorf("%d lines in %s", n, p.AccessLog())
					}
					return nil
				})
			}
			_ = second
		})
	}
}
