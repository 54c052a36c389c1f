package admin

import (
	"encoding/json"
	"strings"
	"testing"
)

// stickySource has two upstreams with sticky.
type stickySource struct{ *fakeSource }

func (s stickySource) Info() Info {
	info := s.fakeSource.Info()
	info.Sticky = []StickyInfo{
		{Upstream: "chat", Hits: 5, Misses: 2, New: 9},
		{Upstream: "app", Zone: "sessions", Sessions: 7, Hits: 1},
	}
	return info
}

func TestSticky(t *testing.T) {
	listener := listen(t, "tcp", "127.0.0.1:0")
	startServer(t, listener, stickySource{newFakeSource()})
	_, body := get(t, client(t, listener.Addr()), "/metrics")
	for _, want := range []string{
		`holdfast_sticky_total{result="hit",upstream="chat"} 5`, `holdfast_sticky_total{result="miss",upstream="chat"} 2`,
		`holdfast_sticky_total{result="new",upstream="chat"} 9`, `holdfast_sticky_sessions{upstream="app",zone="sessions"} 7`,
	} {
		if !strings.Contains(body, want+"\n") {
			t.Errorf("the metrics lack %s", want)
		}
	}
	if strings.Contains(body, `holdfast_sticky_sessions{upstream="chat"`) {
		t.Error("an upstream without sessions has a number of them")
	}
	_, body = get(t, client(t, listener.Addr()), "/status")
	var got status
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Sticky) != 2 || got.Sticky[0] != (StickyInfo{Upstream: "chat", Hits: 5, Misses: 2, New: 9}) ||
		got.Sticky[1].Sessions != 7 {
		t.Errorf("sticky %+v", got.Sticky)
	}
}
