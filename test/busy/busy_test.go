package busy_test

import (
	"testing"
	"time"

	"holdfast/test/busy"
)

// Without a proxy between them, clients and backend keep each other busy.
func TestEveryModeComesBack(t *testing.T) {
	for _, o := range []busy.Options{
		{Mode: busy.Messages, Connections: 3, Size: 64, Count: 100},
		{Mode: busy.Messages, Connections: 3, Size: 125, Count: 20, Rate: 1000},
		{Mode: busy.Requests, Connections: 3, BodySize: 128, Count: 100},
		{Mode: busy.Requests, Connections: 1, Count: 10},
		{Mode: busy.Sessions, Connections: 3, Size: 64, Count: 100},
	} {
		l, err := busy.New(o)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second goes on with what the first has opened
			r, err := l.Run(l.Address(), func() bool { return true })
			if err != nil || r.Rounds < o.Count || r.Rounds > o.Count+o.Connections || r.Seconds <= 0 {
				t.Errorf("%+v: %+v, %v", o, r, err)
			}
		}
		l.Close()
	}
}

func TestTheCallerEndsIt(t *testing.T) {
	l, err := busy.New(busy.Options{Mode: busy.Messages, Connections: 2, Size: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	asked := 0
	r, err := l.Run(l.Address(), func() bool { asked++; return asked < 50 })
	if err != nil || asked != 50 || r.Rounds == 0 {
		t.Errorf("asked %d times: %+v, %v", asked, r, err)
	}
}

func TestABackendThatLeavesIsAnError(t *testing.T) {
	gone, err := busy.New(busy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	front := gone.Address()
	gone.Close()
	l, err := busy.New(busy.Options{Mode: busy.Messages, Connections: 1, Size: 64})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	until := time.Now().Add(30 * time.Second)
	if r, err := l.Run(front, func() bool { return time.Now().Before(until) }); err == nil {
		t.Errorf("%+v, and no error", r)
	}
}
