package main

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/bench/load/front"
	"holdfast/bench/load/origin"
)

func TestEveryScenarioPrintsOneObject(t *testing.T) {
	s, err := origin.Listen("127.0.0.1:0", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	url := "ws://" + s.Addr() + "/"
	file := filepath.Join(t.TempDir(), "out.json")
	for _, line := range []string{
		"echo -url " + url + " -conns 5 -size 64 -rate 2000 -d 50ms",
		"echo -url " + url + " -conns 5 -size 64 -rate 0 -d 10ms -loops 2",
		"storm -url " + url + " -n 50 -at-once 8",
		"storm -url " + url + " -n 50 -rate 5000",
		"bulk -url " + url + " -conns 4 -frame 65536 -raw=false -dir down -bytes 1000000",
		"bulk -url " + url + " -conns 4 -raw=true -dir up -bytes 1000000",
		"bulk -url " + url + " -bytes 1000000 -json " + file,
	} {
		var out, messages bytes.Buffer
		if err := run(strings.Fields(line), &out, &messages); err != nil || messages.Len() > 0 {
			t.Fatalf("%s: %v %s", line, err, &messages)
		}
		text := out.Bytes()
		if strings.Contains(line, file) {
			if text, err = os.ReadFile(file); err != nil || out.Len() > 0 {
				t.Fatalf("%v, and %d bytes on standard output", err, out.Len())
			}
		}
		var r map[string]any
		if err := json.Unmarshal(text, &r); err != nil {
			t.Fatalf("%s: %v\n%s", line, err, text)
		}
		for _, key := range []string{"scenario", "count", "seconds", "per_second", "bytes", "gb_per_second", "errors",
			"latency", "cpu_seconds", "histogram"} {
			if _, ok := r[key]; !ok {
				t.Errorf("%s: no %q in %s", line, key, text)
			}
		}
		if r["count"].(float64) < 1 || r["errors"].(float64) != 0 || r["scenario"] != strings.Fields(line)[0] {
			t.Errorf("%s: %s", line, text)
		}
		latency, ok := r["latency"].(map[string]any)
		if bulk := r["scenario"] == "bulk"; ok == bulk || !bulk && latency["p999"].(float64) <= 0 {
			t.Errorf("%s: latency %v", line, r["latency"])
		}
	}
}

func TestScenariosOverTLS(t *testing.T) {
	s, err := origin.Listen("127.0.0.1:0", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	url := "wss://" + front.Before(t, s.Addr(), &tls.Config{}) + "/"
	for _, line := range []string{
		"echo -url " + url + " -conns 5 -rate 1000 -d 50ms",
		"storm -url " + url + " -n 20 -at-once 4",
		"bulk -url " + url + " -conns 4 -bytes 1000000",
		"newcomers -nice 0 -n 20 -url " + url,
	} {
		var out, messages bytes.Buffer
		if err := run(strings.Fields(line), &out, &messages); err != nil || !strings.Contains(out.String(), `"errors":0`) {
			t.Errorf("%s: %v %s\n%s", line, err, &messages, &out)
		}
	}
	for _, line := range []string{
		"handshake -tls 1.1 -url " + url, "handshake -n 1 -url ws://127.0.0.1:1/", "handshake -n 1 -url " + url, // no 204
		"surge -url ws://127.0.0.1:1/", "newcomers -url ws://127.0.0.1:1/ -nice 0",
	} {
		var out, messages bytes.Buffer
		if err := run(strings.Fields(line), &out, &messages); err == nil {
			t.Errorf("%s: %s", line, &out)
		}
	}
}

func TestFailuresAreToldAndCounted(t *testing.T) {
	s, err := origin.Listen("127.0.0.1:0", 1)
	if err != nil {
		t.Fatal(err)
	}
	url := "ws://" + s.Addr() + "/"
	s.Close()
	for _, line := range []string{
		"", "flood", "echo", "echo -url ws://127.0.0.1/", "echo -nosuch", "bulk -dir sideways", "storm -url " + url + " more",
		"echo -url " + url + " -loops 0", "storm -url " + url, "bulk -url " + url,
	} {
		var out, messages bytes.Buffer
		if err := run(strings.Fields(line), &out, &messages); err == nil {
			t.Errorf("%q: no error", line)
		}
		if strings.HasSuffix(line, url) && !strings.Contains(out.String(), `"errors":1`) {
			t.Errorf("%q prints %q", line, out.String())
		}
	}
}
