package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

func TestBackendServesUntilItIsTold(t *testing.T) {
	for _, told := range []string{"by a signal", "by the end of its input"} {
		in, inEnd := io.Pipe()
		outEnd, out := io.Pipe()
		stop := make(chan os.Signal, 1)
		ended := make(chan error, 1)
		go func() { ended <- run("127.0.0.1:0", 2, in, out, stop) }()
		var line struct{ Address string }
		if err := json.NewDecoder(outEnd).Decode(&line); err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", line.Address)
		if err != nil {
			t.Fatal(err)
		}
		_ = c.SetDeadline(time.Now().Add(30 * time.Second))
		_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		answer, err := bufio.NewReader(c).ReadString('\n')
		if err != nil || !strings.HasPrefix(answer, "HTTP/1.1 200") {
			t.Errorf("%q, %v", answer, err)
		}
		if told == "by a signal" {
			stop <- os.Interrupt
		} else {
			inEnd.Close()
		}
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(30 * time.Second):
			t.Fatal("it does not end, told", told)
		}
		c.Close()
		inEnd.Close()
	}
	if err := run("nowhere", 1, strings.NewReader(""), io.Discard, nil); err == nil {
		t.Error("no error")
	}
}
