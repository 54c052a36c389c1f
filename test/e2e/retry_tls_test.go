package e2e_test

import (
	"fmt"
	"strings"
	"testing"

	"holdfast/test/port"
	"holdfast/test/proc"
	"holdfast/test/wire"
)

// secureRetries are the conditions and the ways in which a handshake with a server fails.
func secureRetries() (rows []retryRow) {
	for _, way := range []string{"dead", "deaf", "mute", "shut", "plain", "other", "close"} {
		for _, condition := range []string{"error", "timeout", "invalid_header", "off", "error timeout"} {
			for _, ask := range []string{"GET", "POST body", "WS"} {
				rows = append(rows, retryRow{
					name:  strings.ReplaceAll(way+"-"+condition+"-"+ask, " ", "_"),
					peers: way + ",ok", set: "proxy_next_upstream " + condition + ";", ask: ask,
				})
			}
		}
	}
	return rows
}

// secureServers are the servers of secureRetries, by way.
func secureServers(t *testing.T, id *identity) map[string]string {
	t.Helper()
	answer := func(play proc.Behaviour) func(c *proc.Raw) error {
		return func(c *proc.Raw) error {
			head, err := wire.ReadHead(c.Reader())
			if err != nil {
				return nil //nolint:nilerr // the proxy has seen enough of the handshake
			}
			if x := (&proc.Exchange{Raw: c, Head: head}); play != nil {
				play(x)
			}
			return nil
		}
	}
	mute := func(c *proc.Raw) error { return gone(readToEnd(c)) }
	shut := func(c *proc.Raw) error { c.Read(1); return nil }
	plain := func(c *proc.Raw) error { c.Send("HTTP/1.1 400 no TLS\r\n\r\n"); return nil }
	const here = "127.0.0.1:0"
	return map[string]string{
		"dead": port.Address(t), "deaf": deafAddress(t),
		"mute": serveRaw(t, mute).addr, "shut": serveRaw(t, shut).addr, "plain": serveRaw(t, plain).addr,
		"other": serveRawAt(t, here, id.server("other.test"), answer(retryOK)).addr,
		"close": serveRawAt(t, here, id.server("backend.test"), answer(nil)).addr,
		"ok":    serveRawAt(t, here, id.server("backend.test"), answer(retryOK)).addr,
	}
}

// What fails in a handshake with a server goes to the next one where it does in nginx.
func TestTLSRetriesAsNginx(t *testing.T) {
	id := certify(t, "backend.test", "other.test")
	g := &retryGround{rows: secureRetries(), names: map[string]string{}, at: map[string]string{}, saw: map[string][]string{}}
	for name, address := range secureServers(t, id) {
		g.name(name, address)
	}
	var groups, locations strings.Builder
	for _, r := range g.rows {
		fmt.Fprintf(&groups, "upstream %s {", r.name)
		for peer := range strings.SplitSeq(r.peers, ",") {
			fmt.Fprintf(&groups, " server %s fail_timeout=1h;", g.at[peer])
		}
		fmt.Fprintf(&groups, " }\n")
		fmt.Fprintf(&locations, "location = /%s { %s proxy_pass https://%s; }\n", r.name, r.set, r.name)
	}
	g.compare(t, proc.Spec{Workers: 1, Vars: vars("root", id.dir+"/root.pem"), HTTP: groups.String() + `
		server {
			listen 127.0.0.1:{{port:front}};
			add_header X-Up "$upstream_addr|$upstream_status" always;
			proxy_ssl_verify on; proxy_ssl_trusted_certificate {{root}}; proxy_ssl_name backend.test;
			proxy_ssl_session_reuse off; proxy_connect_timeout 2s;
			proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;
			` + locations.String() + `
		}`})
}
