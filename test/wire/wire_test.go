package wire_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"holdfast/test/wire"
)

// RFC 6455 section 1.3 gives this pair.
func TestAcceptKeyRFC6455Section1Point3(t *testing.T) {
	if got := wire.AcceptKey(wire.SampleKey); got != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Errorf("accept key %q", got)
	}
}

func TestReadHeadLeavesWhatIsBehindIt(t *testing.T) {
	br := bufio.NewReader(strings.NewReader("HTTP/1.1 204 No Content\r\nX-A: 1\r\nx-a:2 \r\n\r\nrest"))
	h, err := wire.ReadHead(br)
	if err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(br)
	if h.Status() != 204 || len(h.Values("X-a")) != 2 || h.Values("X-a")[1] != "2" || string(rest) != "rest" {
		t.Errorf("head %+v, rest %q", h, rest)
	}
}

func TestReadHeadEndsEarly(t *testing.T) {
	_, err := wire.ReadHead(bufio.NewReader(strings.NewReader("GET / HTTP/1.1\r\nHo")))
	if !errors.Is(err, io.EOF) {
		t.Errorf("error %v, want an EOF", err)
	}
}

func TestFramesRoundTripAtEveryLengthForm(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 9, 125, 126, 127, 65535, 65536, 100_001} {
		payload := bytes.Repeat([]byte("0123456789abcdef!"), n/17+1)[:n]
		for name, raw := range map[string][]byte{
			"client": wire.ClientFrame(wire.OpBinary, payload),
			"server": wire.ServerFrame(wire.OpBinary, payload),
		} {
			h, got, err := wire.ReadFrame(bufio.NewReader(bytes.NewReader(raw)), 1<<20)
			if err != nil || !bytes.Equal(got, payload) || !h.Fin || h.Op != wire.OpBinary {
				t.Errorf("%s frame of %d bytes: %+v, %v", name, n, h, err)
			}
		}
	}
}

func TestFrameCutInTheMiddle(t *testing.T) {
	raw := wire.ServerFrame(wire.OpText, []byte("hello"))
	_, _, err := wire.ReadFrame(bufio.NewReader(bytes.NewReader(raw[:4])), 100)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v, want unexpected EOF", err)
	}
}

func TestEchoServer(t *testing.T) {
	s, err := wire.ListenEcho("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(60 * time.Second))
	br := bufio.NewReader(c)
	io.WriteString(c, wire.UpgradeRequest("x", "/"))
	h, err := wire.ReadHead(br)
	if err != nil || h.Status() != 101 || h.Get("Sec-WebSocket-Accept") != wire.AcceptKey(wire.SampleKey) {
		t.Fatalf("handshake: %+v, %v", h, err)
	}
	big := bytes.Repeat([]byte("holdfast"), 20_000)
	go func() {
		c.Write(wire.ClientFrame(wire.OpBinary, big))
		c.Write(wire.ClientFrame(wire.OpPing, []byte("p")))
		c.Write(wire.ClientFrame(wire.OpClose, []byte{0x03, 0xe8}))
	}()
	for _, want := range []struct {
		op      byte
		payload []byte
	}{{wire.OpBinary, big}, {wire.OpPong, []byte("p")}, {wire.OpClose, []byte{0x03, 0xe8}}} {
		h, got, err := wire.ReadFrame(br, 1<<20)
		if err != nil || h.Op != want.op || !bytes.Equal(got, want.payload) {
			t.Fatalf("frame %+v of %d bytes, %v; want op %d of %d bytes", h, len(got), err, want.op, len(want.payload))
		}
	}
	if _, err := br.ReadByte(); err != io.EOF {
		t.Errorf("after Close: %v, want EOF", err)
	}
}
