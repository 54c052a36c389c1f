package route

import (
	"strings"
	"testing"
)

// triesEnv is a request that was sent to two peers of one upstream and then, by an internal
// redirect, to another.
func triesEnv(e *Env) {
	e.Reset()
	e.BeginTry("10.0.0.1:80", 0)
	e.FailTry(502, 7)
	e.BeginTry("10.0.0.2:80", 100)
	e.UpstreamConnectMs, e.UpstreamHeaderMs, e.UpstreamStatus = 1, 2, 503
	e.UpstreamBytesReceived, e.UpstreamResponseLength = 300, 50
	e.FailTry(0, 9)
	e.LeaveUpstream()
	e.BeginTry("10.0.0.3:80", 250)
	e.UpstreamConnectMs, e.UpstreamHeaderMs, e.UpstreamResponseMs, e.UpstreamStatus = 3, 4, 1005, 200
	e.UpstreamBytesReceived, e.UpstreamResponseLength, e.UpstreamBytesSent = 1300, 900, 400
}

func TestListsOfTries(t *testing.T) {
	e := &Env{}
	triesEnv(e)
	for name, want := range map[string]string{
		"addr":            "10.0.0.1:80, 10.0.0.2:80 : 10.0.0.3:80",
		"status":          "502, 503 : 200",
		"connect_time":    "-, 0.001 : 0.003",
		"header_time":     "-, 0.002 : 0.004",
		"response_time":   "0.007, 0.009 : 1.005",
		"response_length": "0, 50 : 900",
		"bytes_sent":      "100, 150 : 150",
		"bytes_received":  "0, 300 : 1000",
	} {
		if got := rendered(t, e, "$upstream_"+name); got != want {
			t.Errorf("$upstream_%s is %q, want %q", name, got, want)
		}
	}
	e.ForgetUpstream()
	if got := rendered(t, e, "$upstream_addr"); got != "" {
		t.Errorf("afterwards $upstream_addr is %q", got)
	}
	e.BeginTry("10.0.0.4:80", 400)
	if got := rendered(t, e, "$upstream_addr $upstream_bytes_sent"); got != "10.0.0.4:80 0" {
		t.Errorf("of the next upstream: %q", got)
	}
}

func TestLogConditions(t *testing.T) {
	c := NewCompiler(Process{}, nil)
	for text, want := range map[string]bool{"": false, "0": false, "1": true, "00": true, "$arg_x": false, "$status": true} {
		condition, err := c.CompileCondition(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := (&LogRef{If: &condition}).Wanted(&Env{Status: 200}); got != want {
			t.Errorf("if=%s: %v", text, got)
		}
	}
	if !(&LogRef{}).Wanted(&Env{}) {
		t.Error("without a condition: not wanted")
	}
	s := NewStreamCompiler(Process{}, nil, nil)
	if _, err := s.CompileCondition("$status"); err == nil || !strings.Contains(err.Error(), "only the end of a session shows") {
		t.Errorf("if=$status in stream: error %v", err)
	}
}

// The line of a tunnel is rendered when it opens; its holes are filled at the end, and lists
// of tries are whole.
func TestTunnelLogLine(t *testing.T) {
	c := NewCompiler(Process{}, nil)
	log, err := c.NewTunnelLog("$upstream_addr $upstream_status $upstream_response_time $upstream_bytes_sent [$tunnel_reason $tunnel_side "+
		"$tunnel_duration $tunnel_bytes_up $tunnel_bytes_down $tunnel_messages_up $tunnel_messages_down $tunnel_trail] "+
		"$bytes_sent $body_bytes_sent $request_time $connection_time $arg_none", EscapeDefault)
	if err != nil {
		t.Fatal(err)
	}
	e := &Env{}
	triesEnv(e)
	line := log.AppendOpen(nil, e)
	end := StreamEnd{
		NowNs: 100e9, StartNs: 1e9, RequestNs: 2e9, OpenedNs: 90e9, Upstream: true, UpstreamSessionTimeMs: 98765,
		UpstreamBytesSent: 77, BytesSent: 1000, HeadSent: 100, Reason: "done", Side: "client", Trail: []byte("client:fin"),
		BytesUp: 1, BytesDown: 2, MessagesUp: 3, MessagesDown: 4,
	}
	const want = "10.0.0.1:80, 10.0.0.2:80 : 10.0.0.3:80 502, 503 : 200 0.007, 0.009 : 98.765 100, 150 : 77 " +
		"[done client 10.000 1 2 3 4 client:fin] 1000 900 98.000 99.000 -\n"
	if got := string(AppendStreamClose(nil, line, &end)); got != want {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := string(log.Append(nil, e)); !strings.Contains(got, "[- - - - - - - -]") {
		t.Errorf("at the open: %q", got)
	}
}

func TestLogLinesDoNotAllocate(t *testing.T) {
	c := NewCompiler(Process{}, nil)
	text, err := c.Compile("$upstream_addr $upstream_status $upstream_response_time $upstream_bytes_received $request_body $connections_active")
	if err != nil {
		t.Fatal(err)
	}
	condition, err := c.CompileCondition("$upstream_status")
	if err != nil {
		t.Fatal(err)
	}
	ref := LogRef{Format: &LogFormat{Line: text}, If: &condition}
	e := &Env{}
	var line []byte
	one := func() {
		triesEnv(e)
		if !ref.Wanted(e) {
			t.Fatal("not wanted")
		}
		line = ref.Format.Append(line[:0], e)
	}
	one()
	if n := testing.AllocsPerRun(100, one); n != 0 {
		t.Errorf("%v allocations a line", n)
	}
}
