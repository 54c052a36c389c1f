package route

import "testing"

func TestLimitVariables(t *testing.T) {
	c := NewCompiler(Process{}, nil)
	line, err := c.Compile("$limit_req_status $limit_conn_status $limit_rate")
	if err != nil {
		t.Fatal(err)
	}
	var e Env
	for status, want := range []string{
		"- - 0", "PASSED REJECTED 0", "DELAYED - 0", "REJECTED PASSED 0", "DELAYED_DRY_RUN - 0", "REJECTED_DRY_RUN - 0",
	} {
		e.LimitReqStatus, e.LimitConnStatus = LimitStatus(status), LimitUnasked
		switch e.LimitReqStatus {
		case LimitPassed:
			e.LimitConnStatus = LimitRejected
		case LimitRejected:
			e.LimitConnStatus = LimitPassed
		}
		if got := string(line.AppendLog(nil, &e, EscapeDefault)); got != want {
			t.Errorf("%d: %q, want %q", status, got, want)
		}
	}
	if LimitStatus(99).String() != "invalid" {
		t.Error("a status out of range has a name")
	}
	stream := NewStreamCompiler(Process{}, nil, nil)
	if _, err := stream.Compile("$limit_conn_status"); err != nil {
		t.Error(err)
	}
	if _, err := stream.Compile("$limit_req_status"); err == nil {
		t.Error("$limit_req_status exists in stream")
	}
}

func TestRates(t *testing.T) {
	c := NewCompiler(Process{}, nil)
	var l Limits
	if err := l.SetRates(c, "$arg_r", "1k", "$arg_u"); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		args           string
		assigned       string
		rate, after, u int64
	}{
		{"r=2k&u=5", "", 2048, 1024, 5},
		{"r=x", "", 0, 0, 0},
		{"", "", 0, 0, 0},
		{"r=2k", "3m", 3 << 20, 1024, 0},
		{"r=2k", "0", 0, 0, 0},
		{"r=2k", "fast", 2048, 1024, 0},
	} {
		e := Env{Args: []byte(tc.args)}
		if ok := e.LimitRate.Assign([]byte(tc.assigned)); ok != (tc.assigned != "" && tc.assigned != "fast") {
			t.Errorf("%q assigned: %v", tc.assigned, ok)
		}
		if !l.Paces(&e) {
			t.Error("a rate with variables is not asked for")
		}
		if rate, after := l.Rate(&e); rate != tc.rate || after != tc.after || l.UpstreamRate(&e) != tc.u {
			t.Errorf("%+v: rate %d after %d", tc, rate, after)
		}
		if e.LimitRate.BytesPerSec != tc.rate {
			t.Errorf("%+v: $limit_rate is %d", tc, e.LimitRate.BytesPerSec)
		}
	}
	if err := l.SetRates(c, "5x", "", ""); err == nil {
		t.Error("a rate that is none")
	}
	var none Limits
	if none.Paces(&Env{}) || !none.Paces(&Env{LimitRate: RateSetting{Set: true}}) {
		t.Error("Paces")
	}
}
