package admin

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// limitedSource is a fakeSource with zones.
type limitedSource struct{ *fakeSource }

func (f limitedSource) Info() Info {
	info := f.fakeSource.Info()
	info.Limits = []LimitInfo{
		{Directive: "limit_req", Zone: "one", Keys: 3, Passed: 10, Delayed: 20, Rejected: 30, DelayedDryRun: 40, RejectedDryRun: 50},
		{Directive: "limit_conn", Zone: "addr", Passed: 7, Rejected: 8, RejectedDryRun: 9},
	}
	return info
}

func TestLimits(t *testing.T) {
	listener := listen(t, "tcp", "127.0.0.1:0")
	startServer(t, listener, limitedSource{newFakeSource()})
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
		`holdfast_limits_total{directive="limit_req",result="passed",zone="one"} 10`,
		`holdfast_limits_total{directive="limit_req",result="delayed",zone="one"} 20`,
		`holdfast_limits_total{directive="limit_req",result="rejected",zone="one"} 30`,
		`holdfast_limits_total{directive="limit_req",result="delayed_dry_run",zone="one"} 40`,
		`holdfast_limits_total{directive="limit_req",result="rejected_dry_run",zone="one"} 50`,
		`holdfast_limits_total{directive="limit_conn",result="passed",zone="addr"} 7`,
		`holdfast_limits_total{directive="limit_conn",result="rejected",zone="addr"} 8`,
		`holdfast_limits_total{directive="limit_conn",result="rejected_dry_run",zone="addr"} 9`,
		`holdfast_limit_keys{directive="limit_req",zone="one"} 3`,
		`holdfast_limit_keys{directive="limit_conn",zone="addr"} 0`,
	} {
		if !strings.Contains(metrics, line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	if strings.Contains(metrics, `directive="limit_conn",result="delayed"`) {
		t.Error("limit_conn delays something")
	}
	var status struct{ Limits []limitStatus }
	if err := json.Unmarshal([]byte(ask("/status")), &status); err != nil {
		t.Fatal(err)
	}
	if l := status.Limits; len(l) != 2 || l[0].Zone != "one" || l[0].Results["delayed"] != 20 || l[1].Directive != "limit_conn" {
		t.Errorf("limits %+v", l)
	}
}
