package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"holdfast/bench/peers"
)

// figure is what one body cost.
type figure struct{ cpuPerGB, gbPerSecond float64 }

// step is how much is written or read at once on both ends, in bytes.
const step = 1 << 20

// serve answers GET with a body of size bytes, and reads what PUT brings. It returns
// its address and serves until the process ends.
func serve(size int64) (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			n, _ := io.CopyBuffer(plainWriter{io.Discard}, r.Body, make([]byte, step))
			fmt.Fprint(w, n)
			return
		}
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
		_, _ = io.CopyBuffer(plainWriter{w}, io.LimitReader(zeros{}, size), make([]byte, step))
	}
	server := http.Server{Handler: http.HandlerFunc(handler), ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }()
	return l.Addr().String(), nil
}

// plainWriter hides ReadFrom, so that CopyBuffer uses its buffer.
type plainWriter struct{ io.Writer }

// zeros reads as zero bytes without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// move runs one transfer through p and says what it cost.
func move(p *peers.Peer, size int64, transfer func(url string, size int64) (int64, error)) (figure, error) {
	before, err := peers.Measure(p.PID())
	if err != nil {
		return figure{}, err
	}
	start := time.Now()
	moved, err := transfer("http://"+p.Address+"/", size)
	took := time.Since(start)
	if err != nil {
		return figure{}, err
	}
	if moved != size {
		return figure{}, fmt.Errorf("%d of %d bytes arrived", moved, size)
	}
	after, err := peers.Measure(p.PID())
	if err != nil {
		return figure{}, err
	}
	gb := float64(size) / 1e9
	return figure{cpuPerGB: (after.CPU - before.CPU).Seconds() / gb, gbPerSecond: gb / took.Seconds()}, nil
}

var client = http.Client{Transport: &http.Transport{
	DisableKeepAlives: true, ReadBufferSize: step, WriteBufferSize: step, DisableCompression: true,
}}

func download(url string, _ int64) (int64, error) {
	resp, err := get(url, http.MethodGet, nil, 0)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	return io.CopyBuffer(plainWriter{io.Discard}, resp.Body, make([]byte, step))
}

func upload(url string, size int64) (int64, error) {
	resp, err := get(url, http.MethodPut, io.LimitReader(zeros{}, size), size)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(text), 10, 64)
}

func get(url, method string, body io.Reader, size int64) (*http.Response, error) {
	req, err := http.NewRequestWithContext(context.Background(), method, url, body)
	if err != nil {
		return nil, err
	}
	req.ContentLength = size
	resp, err := client.Do(req)
	if err == nil && resp.StatusCode != http.StatusOK {
		resp.Body.Close()
		err = fmt.Errorf("status %d", resp.StatusCode)
	}
	return resp, err
}
