package client_test

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/bench/load/client"
	"holdfast/bench/load/front"
	"holdfast/bench/load/origin"
	"holdfast/bench/load/secure"
)

// secured is an origin behind TLS; it returns the address.
func secured(t *testing.T, config *tls.Config) string {
	t.Helper()
	s, err := origin.Listen("127.0.0.1:0", 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return front.Before(t, s.Addr(), config)
}

func TestEveryLoadOverTLS(t *testing.T) {
	address := secured(t, &tls.Config{})
	for _, target := range []client.Target{
		{URL: "wss://" + address + "/", Loops: 1}, {URL: "wss://" + address + "/", Loops: 2, Raw: true},
	} {
		for _, size := range []int{1, 64, 40_000, 1 << 20} {
			r, err := client.Echo(client.EchoOptions{Target: target, Connections: 5, Size: size, Duration: 20 * time.Millisecond})
			check(t, "echo", r, err)
		}
		r, err := client.Echo(client.EchoOptions{Target: target, Connections: 5, Size: 64, Rate: 2000, Duration: 100 * time.Millisecond})
		check(t, "echo at a rate", r, err)
		if r, err = client.Storm(client.StormOptions{Target: target, Sessions: 200, AtOnce: 16, Size: 64}); err != nil || r.Count != 200 {
			t.Errorf("storm: %+v, %v", r, err)
		}
		for _, up := range []bool{false, true} {
			r, err := client.Bulk(client.BulkOptions{Target: target, Connections: 4, Frame: 100_000, Up: up, Bytes: 20_000_000})
			check(t, "bulk", r, err)
			if r.Bytes != 20_000_000 {
				t.Errorf("bulk, up %v: %d bytes", up, r.Bytes)
			}
		}
	}
}

func TestRefusedHandshakes(t *testing.T) {
	target := client.Target{URL: "wss://" + secured(t, &tls.Config{MaxVersion: tls.VersionTLS12}) + "/", Loops: 1}
	if r, err := client.Storm(client.StormOptions{Target: target, Sessions: 2, AtOnce: 1, Size: 64}); err == nil || r.Errors != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestHandshakes(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/204" {
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	t.Cleanup(s.Close)
	for _, o := range []client.HandshakeOptions{
		{}, {Resume: true}, {Options: secure.Options{Version: tls.VersionTLS12}},
		{Options: secure.Options{Version: tls.VersionTLS12}, Resume: true},
	} {
		o.Target, o.Handshakes, o.AtOnce = client.Target{URL: s.URL + "/204", Loops: 1}, 40, 4
		r, err := client.Handshakes(o)
		if err != nil || r.Count != 40 || r.Latency == nil || r.Latency.P50 <= 0 {
			t.Errorf("%+v: %+v, %v", o, r, err)
		}
		o.URL = s.URL + "/200"
		if r, err := client.Handshakes(o); err == nil || r.Errors != 1 {
			t.Errorf("%+v: %+v", o, r)
		}
	}
}

func TestSurgeCountsRefusals(t *testing.T) {
	const tunnels, newcomers, refused = 20, 50, 7
	var left atomic.Int32
	left.Store(tunnels + newcomers - refused)
	address := secured(t, &tls.Config{GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		if left.Add(-1) < 0 {
			return nil, errors.New("full")
		}
		return nil, nil
	}})
	r, err := client.RunSurge(client.SurgeOptions{EchoOptions: client.EchoOptions{
		Target: client.Target{URL: "wss://" + address + "/", Loops: 1}, Connections: tunnels, Size: 64, Rate: 500,
		Duration: 200 * time.Millisecond,
	}, Newcomers: newcomers})
	check(t, "surge", r, err)
	s := r.Surge
	if s == nil || s.Opened != newcomers-refused || s.Refused != refused || len(s.Reasons) != 1 || s.Seconds <= 0 ||
		s.Quiet.P50 <= 0 || s.After.P99 <= 0 {
		t.Errorf("%+v", s)
	}
}
