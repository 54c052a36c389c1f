package tls_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"holdfast/test/proc"
)

// logged says what the log has of a bad client, and how its handshake is counted. The one
// that waits stands in the middle: of many similar lines in a moment some are left out.
var logged = []struct{ client, says, outcome string }{
	{"plain_http", `client sent plain HTTP request to HTTPS port`, ""},
	{"oversized_record", `SSL handshaking.*oversized record`, "failed"},
	{"empty_records", `SSL handshaking.*unexpected message`, "failed"},
	{"trailing_bytes", `SSL handshaking.*error decoding message`, "failed"},
	{"no_common_version", `SSL handshaking.*unsupported versions`, "failed"},
	{"no_common_suite_12", `SSL handshaking.*no cipher suite`, "failed"},
	{"no_common_group", `SSL handshaking.*no key exchange`, "failed"},
	{"key_share_zero", `SSL handshaking.*key share`, "failed"},
	{"hello_cut_silence", `client timed out`, ""},
	{"alpn_unknown", `SSL handshaking.*unsupported application protocols`, "failed"},
	{"wrong_server_name", `SSL handshaking.*handshake rejected`, "failed"},
	{"finished_not_authentic", `SSL handshaking.*bad record MAC`, "failed"},
	{"client_certificate_of_another", `SSL handshaking.*client certificate`, "failed"},
	{"client_certificate_missing", `client sent no required SSL certificate`, "full"},
	{"hello_cut_end", `SSL handshaking.*closed`, "gone"},
	{"hello_cut_reset", `SSL handshaking.*reset by peer`, "gone"},
	{"silence_after_server_hello", `SSL handshaking.*timed out`, "timeout"},
	{"bad_mac", `TLS failed on the client's connection: bad record MAC \(alert sent\)`, "full"},
	{"oversized_later", `TLS failed on the client's connection: record too long \(alert sent\)`, "full"},
	{"key_update_flood", `TLS failed on the client's connection: too many records without data`, "full"},
}

// Each bad client by itself: one line at the level info, and one handshake counted.
func TestBadClientsLogged(t *testing.T) {
	t.Parallel()
	p := holdfast(t, proc.Spec{HTTP: strings.ReplaceAll(badFront, "TIMEOUT", "ssl_handshake_timeout 3s;"), Workers: 1})
	byName := map[string]badClient{}
	for _, b := range badClients {
		byName[b.name] = b
	}
	for _, c := range logged {
		before, counted := len(p.ErrorLog()), handshakes(t, p)
		t.Run(c.client, func(t *testing.T) { playBad(t, byName[c.client], p.Addr) }) // its end closes the connection
		line := regexp.MustCompile(`\[info\] .*` + c.says + `.*, client: 127\.0\.0\.1`)
		proc.Until(t, c.client+" in the log", func() error {
			if said := p.ErrorLog()[before:]; !line.MatchString(said) {
				return fmt.Errorf("it says %q, want %s", said, line)
			}
			return nil
		})
		if c.outcome != "" {
			if n := handshakes(t, p)[c.outcome] - counted[c.outcome]; n != 1 {
				t.Errorf("%s: %d handshakes more counted as %s", c.client, n, c.outcome)
			}
		}
	}
}

// handshakes are the counters of TLS handshakes with clients, by outcome.
func handshakes(t *testing.T, p *proc.Proxy) map[string]int {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: proc.Patience}
	text, _, err := fetch(client, "http://"+p.Admin()+"/status", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var status struct {
		Totals struct {
			Handshakes map[string]map[string]int `json:"tls_handshakes"`
		}
	}
	if err := json.Unmarshal([]byte(text), &status); err != nil {
		t.Fatal(err)
	}
	return status.Totals.Handshakes["client"]
}
