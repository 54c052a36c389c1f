package config_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/config"
)

var comparePrefixes = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

func prefixes(texts ...string) (list []netip.Prefix) {
	for _, text := range texts {
		list = append(list, netip.MustParsePrefix(text))
	}
	return list
}

func TestRealIP(t *testing.T) {
	cfg := mustLoad(t, inHTTP(`set_real_ip_from 10.0.0.0/8; set_real_ip_from 2001:db8::1; set_real_ip_from unix:;
	real_ip_header X-Forwarded-For; real_ip_recursive on; proxy_protocol V2; proxy_protocol_timeout 7s;
	server {
		listen 127.0.0.1:81 proxy_protocol;
		location / { real_ip_header proxy_protocol; real_ip_recursive off; proxy_protocol off; }
		location /own { set_real_ip_from 192.0.2.1; }
	}`))
	server := cfg.HTTP.Servers[0]
	if !cfg.HTTP.Listeners[0].ProxyProtocol {
		t.Error("the listener has no PROXY protocol")
	}
	if server.Settings.ProxyProtocolTimeout != 7*time.Second || server.Settings.Proxy.ProxyProtocol != 2 {
		t.Errorf("settings %+v", server.Settings)
	}
	outer := prefixes("10.0.0.0/8", "2001:db8::1/128")
	for i, want := range []config.RealIPSettings{
		{From: outer, UnixFrom: true},
		{From: prefixes("192.0.2.1/32"), Header: "X-Forwarded-For", Recursive: true},
	} {
		if diff := cmp.Diff(want, server.Locations[i].Settings.RealIP, comparePrefixes); diff != "" {
			t.Errorf("location %d (-want +got):\n%s", i, diff)
		}
	}
	if server.Locations[0].Settings.Proxy.ProxyProtocol != 0 {
		t.Error("proxy_protocol off is on")
	}
}

func TestRealIPDefaults(t *testing.T) {
	set := mustLoad(t, inHTTP("server { return 204; }")).HTTP.Servers[0].Settings
	if diff := cmp.Diff(config.RealIPSettings{Header: "X-Real-IP"}, set.RealIP, comparePrefixes); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if set.ProxyProtocolTimeout != 30*time.Second {
		t.Errorf("timeout %s", set.ProxyProtocolTimeout)
	}
}

func TestRealIPProblems(t *testing.T) {
	for conf, want := range map[string]string{
		"set_real_ip_from 10.1.0.0/8;": `nginx.conf:2: warning: low address bits of 10.1.0.0/8 are meaningless`,
		"set_real_ip_from 10.0.0.0/33;": `nginx.conf:2: error: invalid value "10.0.0.0/33" in "set_real_ip_from" directive; ` +
			`write an address, a network such as 10.0.0.0/8, or unix:`,
		"set_real_ip_from nowhere.invalid;": `nginx.conf:2: error: host not found in "nowhere.invalid" of the ` +
			`"set_real_ip_from" directive; write an address, a network such as 10.0.0.0/8, or unix:`,
		`real_ip_header "a b";`: `nginx.conf:2: error: invalid value "a b" in "real_ip_header" directive; ` +
			`write proxy_protocol or the name of a field such as X-Forwarded-For`,
		"proxy_protocol on;": `nginx.conf:2: error: invalid value "on" in "proxy_protocol" directive; write off, v1 or v2`,
	} {
		_, problems := config.LoadText("nginx.conf", inHTTP(conf+" server { listen 81; return 204; }"), hermetic(nil))
		if len(problems) != 1 || problems[0].String() != want {
			t.Errorf("%s\n got %v\nwant %s", conf, problems, want)
		}
	}
}
