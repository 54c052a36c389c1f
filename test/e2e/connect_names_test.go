package e2e_test

import (
	"fmt"
	"net"
	"net/netip"
	"testing"

	"holdfast/test/port"
	"holdfast/test/proc"
)

// Names go where the name server says, as long as that is allowed.
func TestConnectResolvesNames(t *testing.T) {
	b := serveRaw(t, sayRaw("in"))
	_, number, _ := net.SplitHostPort(b.addr)
	names := serveNames(t, func(name string, _ int) []netip.Addr {
		switch name {
		case "here.test":
			return addrs("127.0.0.1")
		case "second.test": // nobody listens at the first
			return addrs("127.0.0.9", "127.0.0.1")
		case "empty.test":
			return []netip.Addr{}
		case "silent.test":
			return silence
		}
		return nil
	})
	p := connects(t, "tunnel_allow_private on; resolver "+names.addr+"; resolver_timeout 500ms;")
	for _, name := range []string{"here.test", "HERE.test", "here.test.", "second.test"} {
		c := established(t, p, name+":"+number)
		c.Expect("in")
		c.Close()
	}
	refused(t, p, connect("nothing.test:"+number), 502)
	refused(t, p, connect("empty.test:"+number), 502)
	refused(t, p, connect("silent.test:"+number), 504)
}

// The address is judged for each CONNECT, after the name was resolved: one that was public
// a moment ago is not reached when its name stands for this machine now. Connections are
// bound to 127.0.0.1, from where the kernel lets none go out.
func TestConnectRebinding(t *testing.T) {
	b := serveRaw(t, sayRaw("in"))
	_, number, _ := net.SplitHostPort(b.addr)
	names := serveNames(t, func(name string, nth int) []netip.Addr {
		switch {
		case name == "turning.test" && nth == 0:
			return addrs("93.184.215.14")
		case name == "turning.test":
			return addrs("127.0.0.1")
		case name == "mixed.test":
			return addrs("127.0.0.1", "93.184.215.14", "10.0.0.1")
		}
		return nil
	})
	p := connects(t, "resolver "+names.addr+" valid=1ms ipv6=off; tunnel_bind 127.0.0.1; tunnel_connect_timeout 1s;")
	public := func(what, host string) {
		t.Helper()
		c := proc.Dial(t, p.Front())
		c.Send(connect(host + ":" + number))
		if status := c.Head().Status(); status != 502 && status != 504 {
			t.Errorf("%s: status %d", what, status)
		}
		c.Close()
	}
	public("a public address", "turning.test")
	tries := int64(1)
	proc.Until(t, "another look at the name", func() error {
		c := proc.Dial(t, p.Front())
		defer c.Close()
		head := c.Send(connect("turning.test:" + number)).Head()
		if head.Status() != 403 { // the answer of a moment ago still holds
			tries++
			return fmt.Errorf("answer %q", head.Start)
		}
		return nil
	})
	equal(t, "tries to connect", p.Status(t).Totals.UpstreamConnects, tries)
	public("public and private addresses", "mixed.test")
	equal(t, "tries to connect", p.Status(t).Totals.UpstreamConnects, tries+1)
	equal(t, "connections to the server", b.connections(), 0)
}

// A client that leaves while its name is being resolved, or its server connected to, leaves
// nothing behind.
func TestConnectClientLeavesEarly(t *testing.T) {
	names := serveNames(t, func(string, int) []netip.Addr { return silence })
	p := connects(t, "tunnel_allow_private on; resolver "+names.addr+"; resolver_timeout 2s;")
	deaf := deafAddress(t)
	for i, leave := range []func(c *proc.Raw){(*proc.Raw).Close, (*proc.Raw).Reset} {
		var left []*proc.Raw
		for n := range 20 {
			c := proc.Dial(t, p.Front())
			target := deaf
			if n%2 == 0 {
				target = fmt.Sprintf("silent%d-%d.test:443", i, n)
			}
			c.Send(connect(target))
			left = append(left, c)
		}
		proc.Until(t, "all to be under way", func() error {
			if sum := p.Status(t).Totals; sum.Sessions["connect"] != 20 {
				return fmt.Errorf("sessions %v", sum.Sessions)
			}
			return nil
		})
		for _, c := range left {
			leave(c)
		}
		proc.Until(t, "all to have left", func() error {
			if sum := p.Status(t).Totals; sum.Live() != 0 || sum.RequestsOut != 0 {
				return fmt.Errorf("sessions %v, requests out %d", sum.Sessions, sum.RequestsOut)
			}
			return nil
		})
	}
}

// What a client sends while its name is being resolved is kept, and is not taken for its
// leaving.
func TestConnectEarlyDataWhileResolving(t *testing.T) {
	b := serveRaw(t, echoRaw)
	_, number, _ := net.SplitHostPort(b.addr)
	asked, answer := make(chan struct{}, 4), make(chan struct{})
	names := serveNames(t, func(string, int) []netip.Addr {
		asked <- struct{}{}
		<-answer
		return addrs("127.0.0.1")
	})
	p := connects(t, "tunnel_allow_private on; resolver "+names.addr+" ipv6=off; resolver_timeout 60s;")
	c := proc.Dial(t, p.Front())
	c.Send(connect("slow.test:" + number))
	<-asked
	c.Send("early").CloseWrite()
	c.ExpectSilence()
	close(answer)
	c.Response(200)
	c.Expect("early").ExpectEOF()
}

// So many names at once that the resolver takes no more are refused, and all of it ends.
func TestConnectManyNamesAtOnce(t *testing.T) {
	names := serveNames(t, func(string, int) []netip.Addr { return silence })
	p := connects(t, "tunnel_allow_private on; resolver "+names.addr+" ipv6=off; resolver_timeout 1s;")
	const many = 400
	statuses := make(chan int, many)
	for n := range many {
		go func() {
			c := proc.Try(p.Front())
			defer c.Close()
			statuses <- c.Send(connect(fmt.Sprintf("name%d.test:443", n))).Head().Status()
		}()
	}
	count := map[int]int{}
	for range many {
		count[<-statuses]++
	}
	if count[503] == 0 || count[504] == 0 || count[503]+count[504] != many {
		t.Errorf("statuses %v", count)
	}
	refused(t, p, connect(port.Address(t)), 502)
}
