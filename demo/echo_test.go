package demo

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	"github.com/google/go-cmp/cmp"
	gorilla "github.com/gorilla/websocket"
)

const patience = 60 * time.Second // a deadline against hanging, never a measurement

func echoAddress(t *testing.T) string {
	t.Helper()
	e, address, err := startEcho()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.stop)
	return address
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestEchoWithGorilla(t *testing.T) {
	conn, _, err := gorilla.DefaultDialer.Dial("ws://"+echoAddress(t)+"/ws", nil)
	must(t, err)
	defer conn.Close()
	must(t, conn.SetReadDeadline(time.Now().Add(patience)))

	var pong string
	conn.SetPongHandler(func(text string) error { pong = text; return nil })
	for _, size := range []int{0, 1, 125, 126, 65535, 65536, frameBytesMax} {
		sent := make([]byte, size)
		_, _ = rand.Read(sent)
		must(t, conn.WriteControl(gorilla.PingMessage, []byte("are you there"), time.Now().Add(patience)))
		must(t, conn.WriteMessage(gorilla.BinaryMessage, sent))
		kind, got, err := conn.ReadMessage()
		must(t, err)
		if kind != gorilla.BinaryMessage || !bytes.Equal(got, sent) {
			t.Fatalf("%d bytes came back as %d bytes of kind %d", size, len(got), kind)
		}
		if pong != "are you there" {
			t.Fatalf("the pong before the message says %q", pong)
		}
		pong = ""
	}

	must(t, conn.WriteControl(gorilla.CloseMessage, gorilla.FormatCloseMessage(4321, "bye"), time.Now().Add(patience)))
	_, _, err = conn.ReadMessage()
	if !gorilla.IsCloseError(err, 4321) {
		t.Fatalf("after our Close 4321: %v", err)
	}
	if _, err := conn.UnderlyingConn().Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("the server closes the connection last; got %v", err)
	}
}

func TestEchoWithCoder(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, resp, err := websocket.Dial(ctx, "ws://"+echoAddress(t)+"/ws", nil)
	must(t, err)
	defer conn.CloseNow()
	if resp.Header.Get("Sec-WebSocket-Extensions") != "" {
		t.Errorf("an extension was accepted: %v", resp.Header)
	}
	conn.SetReadLimit(1 << 21)

	// Writer sends a message in fragments; they come back as one message.
	parts := []string{"one ", strings.Repeat("x", 70_000), " three"}
	w, err := conn.Writer(ctx, websocket.MessageText)
	must(t, err)
	for _, part := range parts {
		_, err := io.WriteString(w, part)
		must(t, err)
	}
	must(t, w.Close())
	kind, got, err := conn.Read(ctx)
	must(t, err)
	if diff := cmp.Diff(strings.Join(parts, ""), string(got)); diff != "" || kind != websocket.MessageText {
		t.Fatalf("kind %v, diff %s", kind, diff)
	}
	pings := conn.CloseRead(ctx)
	must(t, conn.Ping(pings))
	must(t, conn.Close(websocket.StatusNormalClosure, "done"))
}

// TestEchoKeepsFragments sends each byte of a fragmented message with a Ping in
// the middle by itself, and expects the same frames back, RFC 6455 section 5.4.
func TestEchoKeepsFragments(t *testing.T) {
	conn, br, _, err := ws.Dial(context.Background(), "ws://"+echoAddress(t)+"/ws")
	must(t, err)
	defer conn.Close()
	if br != nil {
		t.Fatal("bytes behind the 101 that nobody asked for")
	}
	must(t, conn.SetDeadline(time.Now().Add(patience)))
	sent := []ws.Frame{
		ws.NewFrame(ws.OpText, false, []byte("frag")),
		ws.NewPingFrame([]byte("now")),
		ws.NewFrame(ws.OpContinuation, false, nil),
		ws.NewFrame(ws.OpContinuation, true, []byte("ment")),
	}
	var wire bytes.Buffer
	for _, f := range sent {
		must(t, ws.WriteFrame(&wire, ws.MaskFrame(f)))
	}
	for _, b := range wire.Bytes() {
		_, err := conn.Write([]byte{b})
		must(t, err)
	}
	for i, want := range sent {
		got, err := ws.ReadFrame(conn)
		must(t, err)
		if want.Header.OpCode == ws.OpPing {
			want.Header.OpCode = ws.OpPong
		}
		if got.Header.OpCode != want.Header.OpCode || got.Header.Fin != want.Header.Fin ||
			!bytes.Equal(got.Payload, want.Payload) || got.Header.Masked {
			t.Fatalf("frame %d: got %+v %q, want %+v %q", i, got.Header, got.Payload, want.Header, want.Payload)
		}
	}
	must(t, wsutil.WriteClientText(conn, []byte("still alive")))
	got, err := wsutil.ReadServerText(conn)
	must(t, err)
	if string(got) != "still alive" {
		t.Fatalf("got %q", got)
	}
}

// TestEchoOfGluedFrames sends frames right behind the upgrade request.
func TestEchoOfGluedFrames(t *testing.T) {
	conn, err := net.Dial("tcp", echoAddress(t))
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(patience)))
	var wire bytes.Buffer
	wire.WriteString("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n")
	must(t, ws.WriteFrame(&wire, ws.MaskFrame(ws.NewTextFrame([]byte("glued")))))
	_, err = conn.Write(wire.Bytes())
	must(t, err)
	reader := bufio.NewReader(conn)
	resp, err := http.ReadResponse(reader, nil)
	must(t, err)
	// The key and its answer are the example of RFC 6455 section 1.3.
	if resp.StatusCode != http.StatusSwitchingProtocols ||
		resp.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("answer: %+v", resp)
	}
	frame, err := ws.ReadFrame(reader)
	must(t, err)
	if string(frame.Payload) != "glued" {
		t.Fatalf("got %+v", frame)
	}
}

func TestEchoClosesOnBrokenFrames(t *testing.T) {
	address := echoAddress(t)
	masked := func(f ws.Frame) ws.Frame { return ws.MaskFrame(f) }
	rsv := masked(ws.NewTextFrame(nil))
	rsv.Header.Rsv = 0x4
	control := masked(ws.NewPingFrame(nil))
	control.Header.Fin = false
	huge := masked(ws.NewBinaryFrame(nil))
	huge.Header.Length = frameBytesMax + 1
	cases := []struct {
		name string
		send []ws.Frame
		want ws.StatusCode
	}{
		{"5.1 unmasked", []ws.Frame{ws.NewTextFrame([]byte("a"))}, ws.StatusProtocolError},
		{"5.2 reserved bit", []ws.Frame{rsv}, ws.StatusProtocolError},
		{"5.2 reserved opcode", []ws.Frame{masked(ws.NewFrame(3, true, nil))}, ws.StatusProtocolError},
		{"5.2 reserved control opcode", []ws.Frame{masked(ws.NewFrame(11, true, nil))}, ws.StatusProtocolError},
		{"5.4 continuation of nothing", []ws.Frame{masked(ws.NewFrame(ws.OpContinuation, true, nil))}, ws.StatusProtocolError},
		{"5.4 message within a message", []ws.Frame{masked(ws.NewFrame(ws.OpText, false, nil)),
			masked(ws.NewTextFrame(nil))}, ws.StatusProtocolError},
		{"5.5 fragmented control", []ws.Frame{control}, ws.StatusProtocolError},
		{"5.5 long control", []ws.Frame{masked(ws.NewPingFrame(make([]byte, 126)))}, ws.StatusProtocolError},
		{"5.5.1 half a close code", []ws.Frame{masked(ws.NewCloseFrame([]byte{3}))}, ws.StatusProtocolError},
		{"7.4.1 code never sent", []ws.Frame{masked(ws.NewCloseFrame(ws.NewCloseFrameBody(1005, "")))},
			ws.StatusProtocolError},
		{"10.4 frame too large", []ws.Frame{huge}, ws.StatusMessageTooBig},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			conn, _, _, err := ws.Dial(context.Background(), "ws://"+address+"/ws")
			must(t, err)
			defer conn.Close()
			must(t, conn.SetDeadline(time.Now().Add(patience)))
			for _, f := range c.send {
				must(t, ws.WriteFrame(conn, f))
			}
			for {
				frame, err := ws.ReadFrame(conn)
				must(t, err)
				if frame.Header.OpCode != ws.OpClose {
					continue
				}
				if code, _ := ws.ParseCloseFrameData(frame.Payload); code != c.want {
					t.Fatalf("close code %d, want %d", code, c.want)
				}
				return
			}
		})
	}
}

func TestEchoRefusesWhatIsNoUpgrade(t *testing.T) {
	address := echoAddress(t)
	cases := []struct {
		name, request string
		want          int
	}{
		{"plain request", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", http.StatusUpgradeRequired},
		{"no key", "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n" +
			"Sec-WebSocket-Version: 13\r\n\r\n", http.StatusUpgradeRequired},
		{"other version", "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: upgrade\r\n" +
			"Sec-WebSocket-Key: x\r\nSec-WebSocket-Version: 8\r\n\r\n", http.StatusUpgradeRequired},
		{"not HTTP", "hello\r\n\r\n", http.StatusBadRequest},
		{"endless head", "GET / HTTP/1.1\r\nA: " + strings.Repeat("a", headBytesMax),
			http.StatusRequestHeaderFieldsTooLarge},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", address)
			must(t, err)
			defer conn.Close()
			must(t, conn.SetDeadline(time.Now().Add(patience)))
			_, err = io.WriteString(conn, c.request)
			must(t, err)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			must(t, err)
			body, err := io.ReadAll(resp.Body)
			must(t, err)
			if resp.StatusCode != c.want || string(body) != http.StatusText(c.want)+"\n" {
				t.Fatalf("answer %s %q, want %d", resp.Status, body, c.want)
			}
		})
	}
}
