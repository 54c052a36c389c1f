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

// What the log says of a bad client, and how it is counted: the level, the words, and the
// outcome of its handshake.
var logged = []struct{ client, says, outcome string }{
	{"hello_cut_end", "", "gone"},
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

func TestBadClientsLog(t *testing.T) {
	t.Parallel()
	p := holdfast(t, proc.Spec{HTTP: strings.ReplaceAll(badFront, "TIMEOUT", "ssl_handshake_timeout 3s;"), Workers: 1})
	for _, b := range badClients {
		before, counted := len(p.ErrorLog()), handshakes(t, p)
		got := playBad(t, b, p.Addr)
		probe(t, p.Front())
		proc.Until(t, "rest", p.AtBaseline)
		after := handshakes(t, p)
		for k, v := range counted { after[k] -= v }
		fmt.Printf("%s: %s %v\n%s", b.name, got, after, p.ErrorLog()[before:])
	}
	_ = regexp.MustCompile
}
