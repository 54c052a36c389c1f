package proc

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// CloseCount is how many ends had one reason and side.
type CloseCount struct {
	Reason string
	Side   string
	Count  int64
}

// Totals are the numbers of /status summed over the shards, as far as tests read them.
type Totals struct {
	Sessions         map[string]int64
	Tunnels          int64
	Accepted         int64
	Requests         int64
	Upgrades         map[string]int64
	SessionCloses    []CloseCount `json:"session_closes"`
	TunnelCloses     []CloseCount `json:"tunnel_closes"`
	TunnelBytesUp    int64        `json:"tunnel_bytes_up"`
	TunnelBytesDown  int64        `json:"tunnel_bytes_down"`
	HTTPBytesUp      int64        `json:"http_bytes_up"`
	HTTPBytesDown    int64        `json:"http_bytes_down"`
	UpstreamConnects int64        `json:"upstream_connects"`
	UpstreamReuses   int64        `json:"upstream_reuses"`
	UpstreamIdle     int64        `json:"upstream_idle"`
	BufsOut          int64        `json:"bufs_out"`
	BufBytes         int64        `json:"buf_bytes"`
	PipesOut         int64        `json:"pipes_out"`
	RequestsOut      int64        `json:"requests_out"`
}

// Status is the answer of the admin listener's /status.
type Status struct {
	Version string
	PID     int
	Fds     int
	Totals  Totals
	// Configuration says which one is in use.
	Configuration struct {
		Generation, Reloads int
		Failed              int `json:"failed_reloads"`
	}
	Shards []json.RawMessage
}

// Closed is the count for one reason and side in a list of closes.
func Closed(list []CloseCount, reason, side string) int64 {
	for _, c := range list {
		if c.Reason == reason && c.Side == side {
			return c.Count
		}
	}
	return 0
}

// Live is the number of sessions in any state but free.
func (t Totals) Live() int64 {
	var n int64
	for state, count := range t.Sessions {
		if !strings.EqualFold(state, "free") {
			n += count
		}
	}
	return n
}

// adminClient keeps no connection: an idle one would count among the proxy's sockets.
var adminClient = &http.Client{
	Timeout:   Patience,
	Transport: &http.Transport{DisableKeepAlives: true},
}

// ReadStatus asks the admin listener at address for /status.
func ReadStatus(address string) (Status, error) {
	var s Status
	resp, err := adminClient.Get("http://" + address + "/status")
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return s, fmt.Errorf("/status answers %s", resp.Status)
	}
	return s, json.NewDecoder(resp.Body).Decode(&s)
}

// Status reads /status of a holdfast.
func (p *Proxy) Status(t testing.TB) Status {
	t.Helper()
	s, err := ReadStatus(p.Admin())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Metrics reads /metrics of a holdfast (Prometheus text format): the sample's name with
// its labels as printed, to its value.
func (p *Proxy) Metrics(t testing.TB) map[string]float64 {
	t.Helper()
	resp, err := adminClient.Get("http://" + p.Admin() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	samples := map[string]float64{}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		line := lines.Text()
		at := strings.LastIndexByte(line, ' ')
		if at < 0 || strings.HasPrefix(line, "#") {
			continue
		}
		value, err := strconv.ParseFloat(line[at+1:], 64)
		if err != nil {
			t.Fatalf("metrics line %q: %v", line, err)
		}
		samples[line[:at]] = value
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return samples
}
