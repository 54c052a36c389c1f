package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

func wrkMissing() error {
	_, err := exec.LookPath("wrk")
	return err
}

func httpCells() []cell {
	return []cell{{
		name: "http", scenario: "http", without: plain, unit: lakhRequests,
		warm: func(_ *driver, s *stage) (outcome, error) { return wrk(s, 1) },
		run:  func(d *driver, s *stage) (outcome, error) { return wrk(s, int(max(d.scale.Seconds, 1))) },
	}}
}

var wrkCount = regexp.MustCompile(`(\d+) requests in ([0-9.]+)s`)

// wrk loads a plain location.
func wrk(s *stage, seconds int) (outcome, error) {
	text, cpu, err := output("wrk", "-t2", "-c64", "--timeout", "30s", fmt.Sprintf("-d%ds", seconds), "http://"+s.address+"/")
	if err != nil {
		return outcome{}, err
	}
	out, err := parseWrk(string(text))
	out.cpu = cpu
	return out, err
}

func parseWrk(text string) (outcome, error) {
	if strings.Contains(text, "Socket errors") || strings.Contains(text, "Non-2xx") {
		return outcome{}, fmt.Errorf("wrk saw errors:\n%s", text)
	}
	found := wrkCount.FindStringSubmatch(text)
	if found == nil {
		return outcome{}, fmt.Errorf("wrk says:\n%s", text)
	}
	requests, err1 := strconv.ParseFloat(found[1], 64)
	seconds, err2 := strconv.ParseFloat(found[2], 64)
	return outcome{units: requests, seconds: seconds}, errors.Join(err1, err2)
}

const k6Script = "bench/k6/mixed.js"

// k6Path is the program k6: the environment variable K6, or on PATH.
func k6Path() (string, error) {
	if path := os.Getenv("K6"); path != "" {
		return exec.LookPath(path)
	}
	return exec.LookPath("k6")
}

func k6Missing() error {
	if _, err := os.Stat(k6Script); err != nil {
		return errors.New("no " + k6Script)
	}
	_, err := k6Path()
	return err
}

func k6Cells() []cell {
	return []cell{{
		name: "k6", scenario: "k6", without: plain, unit: lakhExchanges,
		run: func(d *driver, s *stage) (outcome, error) { return k6(s, max(d.scale.Seconds, 5)) },
	}}
}

// k6 runs the mixed script; its thresholds make it fail if an answer was wrong. k6 takes
// most of the machine for itself.
func k6(s *stage, seconds float64) (outcome, error) {
	path, err := k6Path()
	if err != nil {
		return outcome{}, err
	}
	dir, err := os.MkdirTemp("", "holdfast-bench-k6-")
	if err != nil {
		return outcome{}, err
	}
	defer os.RemoveAll(dir)
	summary := filepath.Join(dir, "summary.json")
	_, cpu, err := output(path, "run", "--quiet", "--no-usage-report", "--summary-export", summary,
		"-e", "URL=http://"+s.address, "-e", "DURATION="+number(seconds)+"s", k6Script)
	if err != nil {
		return outcome{}, err
	}
	text, err := os.ReadFile(summary)
	if err != nil {
		return outcome{}, err
	}
	out, err := parseK6(text, seconds)
	out.cpu = cpu
	return out, err
}

// The values of the cell k6.
const (
	k6Requests = "HTTP requests"
	k6Echoes   = "WebSocket echoes"
)

// parseK6 reads k6's summary: requests and echoes are the units, the latency is that of
// the requests. k6 gives times in milliseconds.
func parseK6(text []byte, seconds float64) (outcome, error) {
	type metric struct {
		Count float64 `json:"count"`
		P50   float64 `json:"med"`
		P90   float64 `json:"p(90)"`
		Max   float64 `json:"max"`
	}
	var summary struct {
		Metrics struct {
			Requests    metric `json:"http_reqs"`
			RequestTime metric `json:"http_req_duration"`
			Echoes      metric `json:"echoes"`
		} `json:"metrics"`
	}
	if err := json.Unmarshal(text, &summary); err != nil {
		return outcome{}, fmt.Errorf("k6's summary: %w", err)
	}
	m := summary.Metrics
	if m.Requests.Count == 0 || m.Echoes.Count == 0 {
		return outcome{}, errors.New("k6 has done nothing")
	}
	const us = 1000
	return outcome{
		units: m.Requests.Count + m.Echoes.Count, seconds: seconds,
		latency: &Latency{P50: m.RequestTime.P50 * us, P90: m.RequestTime.P90 * us, Max: m.RequestTime.Max * us},
		values: map[string]float64{
			k6Requests: m.Requests.Count / seconds, k6Echoes: m.Echoes.Count / seconds,
		},
	}, nil
}
