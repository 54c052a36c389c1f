package e2e_test

import (
	"bytes"
	"context"
	"net"
	"testing"
	"time"

	coder "github.com/coder/websocket"
	gobwas "github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
	gorilla "github.com/gorilla/websocket"

	"holdfast/test/proc"
)

// messageSizes lie around the length forms of a frame (RFC 6455 section 5.2) and above
// the relay's buffer.
var messageSizes = []int{0, 1, 125, 126, 65535, 65536, 65537, 1 << 20}

func message(size int) []byte { return bytes.Repeat([]byte("holdfast!"), size/9+1)[:size] }

func TestClientGorilla(t *testing.T) {
	b := proc.NewBackend(t, proc.Echo())
	both(t, to(b), func(t *testing.T, p *proc.Proxy) {
		dialer := gorilla.Dialer{HandshakeTimeout: proc.Patience, Subprotocols: []string{"chat"}}
		c, _, err := dialer.Dial("ws://"+p.Front()+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_ = c.SetReadDeadline(time.Now().Add(proc.Patience))
		for _, size := range messageSizes {
			if err := c.WriteMessage(gorilla.BinaryMessage, message(size)); err != nil {
				t.Fatal(err)
			}
			kind, got, err := c.ReadMessage()
			if err != nil || kind != gorilla.BinaryMessage || !bytes.Equal(got, message(size)) {
				t.Fatalf("%d bytes: kind %d, %d bytes back, %v", size, kind, len(got), err)
			}
		}
		pong := false
		c.SetPongHandler(func(text string) error { pong = text == "p"; return nil })
		deadline := time.Now().Add(proc.Patience)
		if err := c.WriteControl(gorilla.PingMessage, []byte("p"), deadline); err != nil {
			t.Fatal(err)
		}
		goodbye := gorilla.FormatCloseMessage(gorilla.CloseNormalClosure, "done")
		if err := c.WriteControl(gorilla.CloseMessage, goodbye, deadline); err != nil {
			t.Fatal(err)
		}
		_, _, err = c.ReadMessage()
		if !gorilla.IsCloseError(err, gorilla.CloseNormalClosure) || !pong {
			t.Errorf("at the end: %v, pong seen: %v", err, pong)
		}
	})
}

func TestClientCoder(t *testing.T) {
	b := proc.NewBackend(t, proc.Echo())
	both(t, to(b), func(t *testing.T, p *proc.Proxy) {
		ctx, cancel := context.WithTimeout(context.Background(), proc.Patience)
		defer cancel()
		c, _, err := coder.Dial(ctx, "ws://"+p.Front()+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer c.CloseNow()
		c.SetReadLimit(2 << 20)
		for _, size := range messageSizes {
			if err := c.Write(ctx, coder.MessageBinary, message(size)); err != nil {
				t.Fatal(err)
			}
			kind, got, err := c.Read(ctx)
			if err != nil || kind != coder.MessageBinary || !bytes.Equal(got, message(size)) {
				t.Fatalf("%d bytes: kind %v, %d bytes back, %v", size, kind, len(got), err)
			}
		}
		c.CloseRead(ctx) // pongs are seen only while somebody reads
		if err := c.Ping(ctx); err != nil {
			t.Error("ping: ", err)
		}
		if err := c.Close(coder.StatusNormalClosure, "done"); err != nil {
			t.Error("close: ", err)
		}
	})
}

func TestClientGobwas(t *testing.T) {
	b := proc.NewBackend(t, proc.Echo())
	both(t, to(b), func(t *testing.T, p *proc.Proxy) {
		ctx, cancel := context.WithTimeout(context.Background(), proc.Patience)
		defer cancel()
		c, br, _, err := gobwas.Dial(ctx, "ws://"+p.Front()+"/")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if br != nil {
			t.Fatal("bytes behind the 101 that nobody sent")
		}
		_ = c.SetDeadline(time.Now().Add(proc.Patience))
		for _, size := range messageSizes {
			echoGobwas(t, c, message(size))
		}
		if err := wsutil.WriteClientMessage(c, gobwas.OpClose, gobwas.NewCloseFrameBody(1000, "done")); err != nil {
			t.Fatal(err)
		}
		h, err := gobwas.ReadHeader(c)
		if err != nil || h.OpCode != gobwas.OpClose {
			t.Errorf("at the end: %+v, %v", h, err)
		}
	})
}

func echoGobwas(t *testing.T, c net.Conn, sent []byte) {
	t.Helper()
	if err := wsutil.WriteClientBinary(c, sent); err != nil {
		t.Fatal(err)
	}
	got, op, err := wsutil.ReadServerData(c)
	if err != nil || op != gobwas.OpBinary || !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes: op %v, %d bytes back, %v", len(sent), op, len(got), err)
	}
}
