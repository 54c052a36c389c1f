package admin

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"
)

// mirroringSource is a fakeSource that has sent copies.
type mirroringSource struct{ *fakeSource }

func (f mirroringSource) Info() Info {
	info := f.fakeSource.Info()
	info.Mirrors = MirrorInfo{Answered: 1, Failed: 2, Dropped: 3, Skipped: 4}
	return info
}

func TestMirrors(t *testing.T) {
	listener := listen(t, "tcp", "127.0.0.1:0")
	startServer(t, listener, mirroringSource{newFakeSource()})
	c := client(t, listener.Addr())
	ask := func(path string) string {
		r, err := http.NewRequest(http.MethodGet, "http://localhost"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		_, body := request(t, c, r)
		return body
	}
	metrics := ask("/metrics")
	for _, line := range []string{
		`holdfast_mirrors_total{result="answered"} 1`, `holdfast_mirrors_total{result="failed"} 2`,
		`holdfast_mirrors_total{result="dropped"} 3`, `holdfast_mirrors_total{result="skipped"} 4`,
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	var status struct{ Mirrors map[string]uint64 }
	if err := json.Unmarshal([]byte(ask("/status")), &status); err != nil {
		t.Fatal(err)
	}
	if want := map[string]uint64{"answered": 1, "failed": 2, "dropped": 3, "skipped": 4}; !maps.Equal(status.Mirrors, want) {
		t.Errorf("mirrors %v", status.Mirrors)
	}
}
