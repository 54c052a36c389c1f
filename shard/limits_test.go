package shard

import (
	"fmt"
	"strings"
	"testing"

	"holdfast/limit"
	"holdfast/observe"
	"holdfast/route"
)

// limitedSite is a site with zones of rates r0, r1 … of 1 request a minute, and of
// connections c0, c1 …; the key of all is $arg_key. fill writes the limits.
func limitedSite(t *testing.T, fill func(l *route.Limits, key route.LimitKey)) site {
	t.Helper()
	c := route.NewCompiler(route.Process{}, nil)
	key, err := c.NewLimitKey("$arg_key")
	if err != nil {
		t.Fatal(err)
	}
	line, err := c.Compile("$request_uri $status $limit_req_status $limit_conn_status")
	if err != nil {
		t.Fatal(err)
	}
	return site{
		set: func(s *route.Settings) {
			s.Limits = route.Limits{ReqStatus: 503, ReqLogLevel: 3, ConnStatus: 503, ConnLogLevel: 3}
			s.AccessLogs = []route.LogRef{{File: 0, Format: &route.LogFormat{Line: line}}}
			fill(&s.Limits, key)
		},
		options: func(o *Options) {
			for i := range 2 {
				const perMinute = 1000 / 60
				z := o.Zones.OpenRate(fmt.Sprint("r", i), "$arg_key", 1<<20)
				o.Snapshot.RateZones = append(o.Snapshot.RateZones, RateZone{Zone: z, Rate: perMinute})
				conns, err := o.Zones.Open(fmt.Sprint("c", i), "$arg_key", 32<<10)
				if err != nil {
					t.Fatal(err)
				}
				o.Snapshot.Zones = append(o.Snapshot.Zones, conns)
			}
		},
	}
}

const oneRequest = 1000 // in thousandths

// serveOne answers one request of a new connection at the upstream.
func (w *world) serveOne() {
	w.t.Helper()
	u := w.upstream()
	u.head()
	u.send(okAnswer)
	w.t.Cleanup(func() { u.Close() })
}

// asked sends a request on a new connection of its own, which it closes.
func (w *world) asked(path string, status int) {
	w.t.Helper()
	c := w.client()
	c.send(strings.Replace(get(path), "\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1))
	c.status(status)
	c.end()
}

func TestLimitReq(t *testing.T) {
	w := newWorld(t, limitedSite(t, func(l *route.Limits, key route.LimitKey) {
		l.Reqs = []route.LimitReq{{LimitKey: key, Burst: 2 * oneRequest, Delay: oneRequest}}
		l.ReqStatus = 429
	}))
	c := w.client()
	c.send(get("/x?key=a"))
	u := w.upstream()
	for range 2 { // the second is above the rate, and need not wait
		u.head()
		u.send(okAnswer)
		c.status(200)
		c.send(get("/x?key=a"))
	}
	w.state(Delay)
	w.asked("/x?key=a", 429)
	w.asked("/own?key=a", 200) // return is not limited
	w.empty1()
	w.expireNow()
	u.head()
	u.send(okAnswer)
	c.status(200)
	c.send(get("/x"))
	u.head()
	u.send(okAnswer)
	c.status(200)
	w.logged(w.access, "/x?key=a 200 PASSED -\n")
	w.logged(w.access, "/x?key=a 200 DELAYED -\n")
	w.logged(w.access, "/x?key=a 429 REJECTED -\n")
	w.logged(w.access, "/x 200 - -\n")
	w.logged(w.errors, "[warn] ")
	w.logged(w.errors, `delaying request, excess: `)
	w.logged(w.errors, `, by zone "r0", client: 127.0.0.1`)
	w.logged(w.errors, `limiting requests, excess: `)
	w.logged(w.errors, ` by zone "r0", client: 127.0.0.1`)
	w.ask(func(sh *Shard) {
		s := &sh.snapshot.RateZones[0].Zone.Stats
		if s.Passed.Load() != 2 || s.Delayed.Load() != 1 || s.Rejected.Load() != 1 || sh.counters.Limited != 1 {
			t.Errorf("passed %d, delayed %d, rejected %d, limited %d", s.Passed.Load(), s.Delayed.Load(), s.Rejected.Load(),
				sh.counters.Limited)
		}
	})
}

// empty1 waits until there is one session only.
func (w *world) empty1() {
	w.t.Helper()
	w.eventually("one session", func(sh *Shard) bool { return sh.sessions.Len()-len(sh.closed) == 1 })
}

// A client that leaves while its request is delayed is noticed; what it sends meanwhile stays
// where it is.
func TestDelayEnds(t *testing.T) {
	w := newWorld(t, limitedSite(t, func(l *route.Limits, key route.LimitKey) {
		l.Reqs = []route.LimitReq{{LimitKey: key, Burst: 9 * oneRequest}}
	}))
	c := w.client()
	c.send(get("/x?key=a"))
	u := w.upstream()
	u.head()
	u.send(okAnswer)
	c.status(200)
	c.send("POST /x?key=a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n01234")
	w.state(Delay)
	c.send("56789" + get("/own"))
	w.expireNow()
	u.head()
	u.want("0123456789")
	u.send(okAnswer)
	c.status(200)
	c.status(200)
	c.Close()
	w.empty()
	gone := w.client()
	gone.send(get("/x?key=a"))
	w.state(Delay)
	gone.Close()
	w.empty()
	w.ask(func(sh *Shard) {
		if n := sh.counters.SessionCloses[observe.ReasonAborted][observe.SideClient]; n != 1 {
			t.Errorf("%d sessions were aborted by the client, want 1", n)
		}
	})
	down := w.client()
	down.send(strings.Replace(wsAsk, "/ws", "/ws?key=a", 1))
	w.state(Delay)
	w.expireNow()
	up := w.upstream() // a tunnel gets a connection of its own
	up.head()
	up.send(wsAnswer)
	if head := down.head(); !strings.HasPrefix(head, "HTTP/1.1 101 ") {
		t.Errorf("answer %q", head)
	}
}

func TestLimitReqDryRun(t *testing.T) {
	w := newWorld(t, limitedSite(t, func(l *route.Limits, key route.LimitKey) {
		l.Reqs = []route.LimitReq{{LimitKey: key, Burst: oneRequest}}
		l.ReqDryRun, l.ReqLogLevel = true, 5
	}))
	c := w.client()
	c.send(get("/x?key=a"))
	u := w.upstream()
	for range 3 {
		u.head()
		u.send(okAnswer)
		c.status(200)
		c.send(get("/x?key=a"))
	}
	w.logged(w.access, "200 DELAYED_DRY_RUN -\n")
	w.logged(w.access, "200 REJECTED_DRY_RUN -\n")
	w.logged(w.errors, "[notice] ")
	w.logged(w.errors, `limiting requests, dry run, excess: `)
	w.logged(w.errors, `delaying request, dry run, excess: `)
}

// All limits are asked, an error page does not ask them again, and a key too long is not
// limited.
func TestLimitReqs(t *testing.T) {
	st := limitedSite(t, func(l *route.Limits, key route.LimitKey) {
		l.Reqs = []route.LimitReq{{LimitKey: key, Zone: 1, Burst: 9 * oneRequest, Delay: 9 * oneRequest}, {LimitKey: key}}
	})
	inner := st.set
	st.set = func(s *route.Settings) {
		inner(s)
		c := route.NewCompiler(route.Process{}, nil)
		s.ErrorPages, _ = c.NewErrorPages([]route.ErrorPageSpec{{Statuses: []int{503}, Overwrite: route.KeepStatus, Target: "/page?key=a"}})
	}
	w := newWorld(t, st)
	c := w.client()
	c.send(get("/x?key=a"))
	u := w.upstream()
	u.head()
	u.send(okAnswer)
	c.status(200)
	for range 3 {
		c.send(get("/x?key=a"))
		if head := u.head(); !strings.HasPrefix(head, "GET /page") {
			t.Errorf("request %q", head)
		}
		u.send(okAnswer)
		c.status(503)
	}
	w.logged(w.access, "/x?key=a 503 REJECTED -\n")
	w.logged(w.errors, ` by zone "r0"`)
	long := "/x?key=" + strings.Repeat("k", 5000)
	c.send(get(long))
	u.head()
	u.send(okAnswer)
	c.status(200)
	w.logged(w.access, long+" 200 PASSED -\n")
}

func TestLimitConn(t *testing.T) {
	w := newWorld(t, limitedSite(t, func(l *route.Limits, key route.LimitKey) {
		l.Conns = []route.LimitConn{{LimitKey: key, Zone: 0, Max: 9}, {LimitKey: key, Zone: 1, Max: 1}}
		l.ConnStatus = 429
	}))
	down := w.client()
	down.send(strings.Replace(wsAsk, "/ws", "/ws?key=a", 1))
	up := w.upstream()
	up.head()
	up.send(wsAnswer)
	down.head()
	w.state(Tunnel)
	for range 20 { // the first zone must not keep what the second refuses
		w.asked("/x?key=a", 429)
	}
	c := w.client()
	c.send(get("/x?key=" + strings.Repeat("k", 300)))
	u := w.upstream()
	u.head()
	u.send(okAnswer)
	c.status(200)
	w.logged(w.errors, `limiting connections by zone "c1", client`)
	w.logged(w.errors, `the value of the "$arg_key" key is more than 255 bytes: "kkkk`)
	w.logged(w.access, "101 - PASSED\n")
	w.logged(w.access, "429 - REJECTED\n")
	down.reset() // the tunnel has ended: there is room again
	w.empty1()
	c.send(get("/x?key=a"))
	u.head()
	u.send(okAnswer)
	c.status(200)
	w.ask(func(sh *Shard) {
		for i := range 2 {
			if n := sh.snapshot.Zones[i].Len(); n > 1 {
				t.Errorf("zone %d has %d keys", i, n)
			}
		}
		if s := &sh.snapshot.Zones[1].Stats; s.Passed.Load() != 2 || s.Rejected.Load() != 20 {
			t.Errorf("passed %d, rejected %d", s.Passed.Load(), s.Rejected.Load())
		}
	})
}

func TestLimitConnDryRunAndFull(t *testing.T) {
	w := newWorld(t, limitedSite(t, func(l *route.Limits, key route.LimitKey) {
		l.Conns = []route.LimitConn{{LimitKey: key, Zone: 0, Max: 1}}
		l.ConnDryRun = true
	}))
	down := w.client()
	down.send(strings.Replace(wsAsk, "/ws", "/ws?key=a", 1))
	up := w.upstream()
	up.head()
	up.send(wsAnswer)
	down.head()
	w.state(Tunnel)
	c := w.client()
	c.send(get("/x?key=a"))
	w.serveOne()
	c.status(200)
	w.logged(w.access, "200 - REJECTED_DRY_RUN\n")
	w.logged(w.errors, `limiting connections, dry run, by zone "c0"`)
	var refs []limit.Ref
	w.ask(func(sh *Shard) {
		for i := range 1000 {
			if ref, taken := sh.snapshot.Zones[0].Acquire(fmt.Append(nil, "other ", i), 1); taken == limit.Counted {
				refs = append(refs, ref)
			}
		}
	})
	c.send(get("/x?key=b"))
	w.logged(w.errors, `[crit] `)
	w.logged(w.errors, `no memory in limit_conn_zone "c0"`)
	w.ask(func(sh *Shard) {
		for _, ref := range refs {
			sh.opt.Zones.Release(ref)
		}
	})
}

// Requests at their limits allocate nothing, whether they pass or not.
func TestLimitsAllocateNothing(t *testing.T) {
	w := newWorld(t, limitedSite(t, func(l *route.Limits, key route.LimitKey) {
		l.Reqs = []route.LimitReq{{LimitKey: key, Burst: 1 << 40, Delay: 1 << 40}, {LimitKey: key, Zone: 1, Burst: 1 << 40, Delay: 1 << 40}}
		l.Conns = []route.LimitConn{{LimitKey: key, Zone: 0, Max: 9}}
		l.ReqDryRun = true
	}))
	c := w.client()
	c.send(get("/x?key=a"))
	w.upstream().head()
	w.ask(func(sh *Shard) {
		s := only(sh)
		r := sh.cold(s)
		if n := testing.AllocsPerRun(200, func() {
			r.env.LimitReqStatus = route.LimitUnasked
			sh.withinLimits(s, r)
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	})
}
