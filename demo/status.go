package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"
)

// proxyState is what the page shows of the proxy: gauges and counters of its
// admin listener, and what the kernel says of its process.
type proxyState struct {
	Reachable     bool              `json:"reachable"` // whether the admin listener answered
	Version       string            `json:"version,omitempty"`
	UptimeSeconds float64           `json:"uptime_seconds"`
	Tunnels       uint64            `json:"tunnels"`
	Requests      uint64            `json:"requests"`
	Upgrades      map[string]uint64 `json:"upgrades"` // by outcome
	BytesUp       uint64            `json:"bytes_up"`
	BytesDown     uint64            `json:"bytes_down"`

	// MemoryBytes is the proxy's own share of memory (PSS); 0 when unknown.
	MemoryBytes int64 `json:"memory_bytes,omitempty"`
	// TunnelBytes is what MemoryBytes grew by since the start, per tunnel; 0 while
	// there are too few tunnels to tell it from the noise.
	TunnelBytes int64 `json:"tunnel_bytes,omitempty"`
}

const (
	statusAge     = 200 * time.Millisecond // how old a copy may be that several pages share
	measurableMin = 1_000                  // tunnels, below which memory per tunnel is noise
)

// monitor asks the proxy's admin listener, at most once per statusAge.
type monitor struct {
	url  string // of /status
	pid  int    // 0: memory unknown
	http *http.Client

	mu        sync.Mutex
	last      proxyState
	lastAt    time.Time
	baseBytes int64 // memory before the first tunnel
}

func newMonitor(admin string, pid int) *monitor {
	base, _ := memoryBytes(pid)
	return &monitor{url: "http://" + admin + "/status", pid: pid, baseBytes: base,
		http: &http.Client{Timeout: 2 * time.Second}}
}

// state returns the proxy's numbers; a proxy that does not answer is a state too.
func (m *monitor) state(ctx context.Context) proxyState {
	m.mu.Lock()
	defer m.mu.Unlock()
	if time.Since(m.lastAt) < statusAge {
		return m.last
	}
	state, err := m.fetch(ctx)
	if err != nil {
		state = proxyState{}
	}
	if bytes, err := memoryBytes(m.pid); err == nil {
		state.MemoryBytes = bytes
		if state.Tunnels >= measurableMin && bytes > m.baseBytes {
			state.TunnelBytes = (bytes - m.baseBytes) / int64(state.Tunnels)
		}
	}
	m.last, m.lastAt = state, time.Now()
	return state
}

func (m *monitor) fetch(ctx context.Context) (proxyState, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, m.url, nil)
	if err != nil {
		return proxyState{}, err
	}
	resp, err := m.http.Do(req)
	if err != nil {
		return proxyState{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return proxyState{}, fmt.Errorf("%s: %s", m.url, resp.Status)
	}
	var status struct {
		Version       string  `json:"version"`
		UptimeSeconds float64 `json:"uptime_seconds"`
		Totals        struct {
			Tunnels   uint64            `json:"tunnels"`
			Requests  uint64            `json:"requests"`
			Upgrades  map[string]uint64 `json:"upgrades"`
			BytesUp   uint64            `json:"tunnel_bytes_up"`
			BytesDown uint64            `json:"tunnel_bytes_down"`
		} `json:"totals"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&status); err != nil {
		return proxyState{}, fmt.Errorf("%s: %w", m.url, err)
	}
	return proxyState{Reachable: true, Version: status.Version, UptimeSeconds: status.UptimeSeconds,
		Tunnels: status.Totals.Tunnels, Requests: status.Totals.Requests, Upgrades: status.Totals.Upgrades,
		BytesUp: status.Totals.BytesUp, BytesDown: status.Totals.BytesDown}, nil
}

// memoryBytes reads a process's proportional set size from the kernel, proc(5).
func memoryBytes(pid int) (int64, error) {
	if pid == 0 {
		return 0, os.ErrNotExist
	}
	text, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/smaps_rollup")
	if err != nil {
		return 0, err
	}
	for line := range bytes.Lines(text) {
		if fields := bytes.Fields(line); len(fields) == 3 && string(fields[0]) == "Pss:" {
			kib, err := strconv.ParseInt(string(fields[1]), 10, 64)
			return kib << 10, err
		}
	}
	return 0, fmt.Errorf("no Pss in the memory map of process %d", pid)
}
