package shard

import (
	"testing"

	"holdfast/observe"
	"holdfast/route"
)

// without is the world's snapshot with its listener gone.
func (w *world) without() *Snapshot {
	sn := *w.sh.opt.Snapshot
	sn.Listeners = []ListenerInfo{{Gone: true}}
	return &sn
}

// apply has the shard use a change.
func (w *world) apply(c *Change) {
	w.t.Helper()
	done := make(chan struct{})
	if !w.sh.Apply(c, func() { close(done) }) {
		w.t.Fatal("the shard has ended")
	}
	<-done
}

// A listener that is gone is closed when what waits in its queue is accepted; a connection
// without a request ends, one with a part of it is served, and a tunnel lives.
func TestApplyWithoutListener(t *testing.T) {
	w := newWorld(t, site{})
	down, up := w.tunnel()
	idle := w.client()
	idle.send(get("/"))
	at := w.upstream()
	at.head()
	at.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	idle.status(200)
	w.eventually("it idles", func(sh *Shard) bool { return sh.counters.Sessions[Idle] == 1 })
	half := w.client()
	half.send("GET / HTTP/1.1\r\n")
	w.eventually("half a head", func(sh *Shard) bool { return sh.counters.Sessions[ReadHead] == 1 && sh.requests.lent() > 0 })
	w.apply(&Change{Snapshot: w.without(), Listeners: []Socket{{FD: -1}}})
	idle.end()
	w.ask(func(sh *Shard) {
		if sh.listeners[0].fd >= 0 || sh.former.of[0] == nil {
			t.Errorf("listener %+v, former %v", sh.listeners[0], sh.former.of)
		}
	})
	half.send("Host: a\r\n\r\n")
	at.head() // on the connection that idled
	at.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	if resp := half.status(200); !resp.Close {
		t.Error("the last answer does not say that it is")
	}
	half.end()
	w.ask(func(sh *Shard) { sh.walkFormer(0) })
	w.ask(func(sh *Shard) {
		if len(sh.former.of) > 0 {
			t.Error("the configuration of the listener is kept for a tunnel")
		}
		if n := sh.counters.SessionCloses[observe.ReasonShutdown][observe.SideProxy]; n != 1 {
			t.Errorf("%d sessions ended by the change", n)
		}
	})
	down.send("x")
	up.want("x")
}

// second is a table whose only listener has the number 1.
func (w *world) second() *route.Table {
	c := route.NewCompiler(route.Process{}, nil)
	own := &route.Location{Settings: defaultSettings(w.sh.opt.Policies, Policy{})}
	var err error
	own.Rewrite, err = returning(c, 200, "own")
	w.check(err)
	b := route.NewBuilder(c, 2)
	_, err = b.AddServer(&route.ServerSpec{
		Listens: []route.ListenUse{{Listen: 1}}, Settings: own.Settings,
		Locations: []route.LocationSpec{{Modifier: route.Prefix, Pattern: "/", Location: own}},
	})
	w.check(err)
	return b.Table()
}

// A socket that gets another number goes on, and the connections of before end as they
// began.
func TestApplyRenumbers(t *testing.T) {
	w := newWorld(t, site{})
	var fd int32
	w.ask(func(sh *Shard) { fd = sh.listeners[0].fd })
	sn := w.without()
	sn.Listeners = append(sn.Listeners, w.sh.opt.Snapshot.Listeners[0])
	tuned := -1
	first := w.client()
	w.state(ReadHead)
	sn.Table = w.second()
	w.apply(&Change{
		Snapshot: sn, Listeners: []Socket{{FD: -1}, {FD: fd}}, Tune: func(number int, _ int32) { tuned = number },
	})
	second := w.client()
	for _, c := range []*conn{first, second} {
		c.send(get("/own"))
		if resp := c.status(200); resp.Close != (c == first) {
			t.Errorf("first %v, last answer %v", c == first, resp.Close)
		}
	}
	if tuned != 1 {
		t.Errorf("tuned %d", tuned)
	}
}
