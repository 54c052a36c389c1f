package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// toolPatience bounds one run of a load tool, and toolEnd how long a backend may take
// to end.
const (
	toolPatience = 5 * time.Minute
	toolEnd      = 10 * time.Second
)

// tools are the programs that make the load, built for this run.
type tools struct {
	dir              string // removed in the end
	loadgen, backend string
	relay            string // the floor, "" if it could not be built
	relayMissing     string // why
}

// buildTools compiles bench/loadgen, bench/backend and, where there is a C compiler,
// bench/floor/relay.c. The working directory is the repository's.
func buildTools() (*tools, error) {
	dir, err := os.MkdirTemp("", "holdfast-bench-tools-")
	if err != nil {
		return nil, err
	}
	t := &tools{dir: dir, loadgen: filepath.Join(dir, "loadgen"), backend: filepath.Join(dir, "backend")}
	build := exec.Command("go", "build", "-buildvcs=false", "-o", dir+"/", "./bench/loadgen", "./bench/backend")
	if out, err := build.CombinedOutput(); err != nil {
		t.remove()
		return nil, fmt.Errorf("building the load tools: %w\n%s", err, out)
	}
	relay := filepath.Join(dir, "relay")
	if out, err := exec.Command("cc", "-O2", "-o", relay, "bench/floor/relay.c").CombinedOutput(); err != nil {
		t.relayMissing = strings.TrimSpace(fmt.Sprintf("relay.c: %v %s", err, firstLine(out)))
	} else {
		t.relay = relay
	}
	return t, nil
}

func (t *tools) remove() { _ = os.RemoveAll(t.dir) }

// LoadResult is what bench/loadgen prints.
type LoadResult struct {
	Scenario    string       `json:"scenario"`
	Count       float64      `json:"count"`
	Seconds     float64      `json:"seconds"`
	PerSecond   float64      `json:"per_second"`
	Bytes       float64      `json:"bytes"`
	GBPerSecond float64      `json:"gb_per_second"`
	Errors      int64        `json:"errors"`
	Latency     Latency      `json:"latency"`
	CPUSeconds  float64      `json:"cpu_seconds"`
	Histogram   [][2]float64 `json:"histogram,omitempty"` // quantile, µs
	Surge       struct {
		Opened, Refused      float64
		Seconds              float64
		Quiet, During, After Latency
		Late                 Latency
	} `json:"surge"`
}

// Latency are quantiles in microseconds.
type Latency struct {
	P50  float64 `json:"p50"`
	P90  float64 `json:"p90"`
	P99  float64 `json:"p99"`
	P999 float64 `json:"p999"`
	Max  float64 `json:"max"`
}

// load runs bench/loadgen to its end.
func (t *tools) load(args ...string) (LoadResult, error) {
	var r LoadResult
	out, cpu, err := output(t.loadgen, args...)
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(out, &r); err != nil {
		return r, fmt.Errorf("loadgen says %q: %w", firstLine(out), err)
	}
	r.CPUSeconds = cpu // that of the whole process, as the proxy's
	if r.Errors != 0 {
		return r, fmt.Errorf("loadgen counts %d errors", r.Errors)
	}
	if r.Count <= 0 && r.Bytes <= 0 || r.Seconds <= 0 {
		return r, fmt.Errorf("loadgen has done nothing: %s", firstLine(out))
	}
	return r, nil
}

// output runs a program and returns its standard output and the CPU seconds it used.
// Its error carries the end of what the program said.
func output(path string, args ...string) (text []byte, cpu float64, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), toolPatience)
	defer cancel()
	var out, said bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Stdout, cmd.Stderr = &out, &said
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		lines := strings.TrimSpace(said.String())
		return nil, 0, fmt.Errorf("%s %s: %w\n%s", filepath.Base(path), strings.Join(args, " "), err,
			lines[max(0, len(lines)-1000):])
	}
	return out.Bytes(), (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds(), nil
}

// backend is a running bench/backend.
type backend struct {
	Address string
	cmd     *exec.Cmd
	stdin   io.Closer
}

// startBackend starts a backend on a free port and waits for its address.
func (t *tools) startBackend() (*backend, error) {
	cmd := exec.Command(t.backend)
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	b := &backend{cmd: cmd, stdin: stdin}
	line, err := bufio.NewReader(stdout).ReadBytes('\n')
	if err == nil {
		err = json.Unmarshal(line, &struct {
			Address *string `json:"address"`
		}{&b.Address})
	}
	if err == nil && b.Address == "" {
		err = errors.New("no address")
	}
	if err != nil {
		b.stop()
		return nil, fmt.Errorf("backend says %q: %w", line, err)
	}
	return b, nil
}

func (b *backend) stop() {
	b.stdin.Close()
	kill := time.AfterFunc(toolEnd, func() { _ = b.cmd.Process.Kill() })
	defer kill.Stop()
	_ = b.cmd.Wait()
}

func firstLine(text []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(text)), "\n")
	return line
}
