package main

import (
	"bytes"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"holdfast/bench/load/client"
	"holdfast/bench/load/origin"
	"holdfast/test/port"
	"holdfast/test/proc"
)

// relay compiles bench/floor/relay.c and starts it in front of an origin; it returns its address.
func relay(t *testing.T) string {
	t.Helper()
	compiler, err := exec.LookPath("cc")
	if err != nil {
		t.Skip("no C compiler")
	}
	dir := t.TempDir()
	binary := filepath.Join(dir, "relay")
	if out, err := exec.Command(compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-o", binary, "../floor/relay.c").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	s, err := origin.Listen("127.0.0.1:0", 1)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	n := port.Take(t)
	log := filepath.Join(dir, "log")
	p, err := proc.Launch(proc.Command{
		Path: binary, Args: []string{strconv.Itoa(n), s.Addr(), "2"}, Dir: dir, Output: log, OrphanSignal: syscall.SIGTERM,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Kill()
		if text, _ := os.ReadFile(log); len(text) > 0 {
			t.Errorf("relay says %s", text)
		}
	})
	address := "127.0.0.1:" + strconv.Itoa(n)
	if err := proc.Poll(proc.Patience, func() error {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return address
}

func TestRelayCarriesEveryLoad(t *testing.T) {
	target := client.Target{URL: "ws://" + relay(t) + "/", Loops: 1}
	for _, size := range []int{64, 70_000, 3 << 20} {
		if _, err := client.Echo(client.EchoOptions{
			Target: target, Connections: 5, Size: size, Duration: 50 * time.Millisecond,
		}); err != nil {
			t.Errorf("echo of %d bytes: %v", size, err)
		}
	}
	if _, err := client.Storm(client.StormOptions{Target: target, Sessions: 500, AtOnce: 32, Size: 64}); err != nil {
		t.Error("storm:", err)
	}
	for _, up := range []bool{false, true} {
		if _, err := client.Bulk(client.BulkOptions{
			Target: target, Connections: 5, Frame: 65536, Up: up, Bytes: 100 << 20,
		}); err != nil {
			t.Errorf("bulk, up %v: %v", up, err)
		}
	}
}

// TestRelayKeepsTheOtherHalfOpen fills every buffer, half-closes, and only then reads:
// each byte must come back.
func TestRelayKeepsTheOtherHalfOpen(t *testing.T) {
	c, err := net.Dial("tcp", relay(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	head := "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: raw\r\n\r\n"
	chunk := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	const chunks = 400
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(c, head)
		for i := 0; i < chunks && err == nil; i++ {
			_, err = c.Write(chunk)
		}
		if err == nil {
			err = c.(*net.TCPConn).CloseWrite()
		}
		sent <- err
	}()
	got, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	_, body, _ := bytes.Cut(got, []byte("\r\n\r\n"))
	if !bytes.Equal(body, bytes.Repeat(chunk, chunks)) {
		t.Errorf("%d bytes came back, %d went", len(body), chunks*len(chunk))
	}
}
