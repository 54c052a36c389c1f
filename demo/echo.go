package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/panjf2000/gnet/v2"
)

const (
	headBytesMax    = 8 << 10  // of an upgrade request
	frameBytesMax   = 1 << 20  // of one frame's payload
	backlogBytesMax = 16 << 20 // echoed bytes that a client has not read yet
)

// echo is the demo's WebSocket backend: it sends back every frame it gets, on one
// event loop. An idle connection costs a small record and no goroutine.
//
// Frames are echoed as they come in, so fragments stay fragments and no message
// is ever held. Text is not checked for UTF-8: nothing here reads it.
type echo struct {
	gnet.BuiltinEventEngine

	engine gnet.Engine
	booted chan struct{}
	ended  chan error
	out    []byte // scratch of the one event loop
}

// echoConn is a connection's state.
type echoConn struct {
	upgraded   bool
	fragmented bool // a message has begun and not ended
	closing    bool // our Close is sent; what still comes in is dropped
	answered   bool // it answered the client's Close, so the connection may end
	current    header
	left       uint64 // payload bytes of the current frame still to come
}

// startEcho listens on a loopback port of the kernel's choice and serves until
// stop is called.
func startEcho() (e *echo, address string, err error) {
	e = &echo{booted: make(chan struct{}), ended: make(chan error, 1)}
	go func() {
		e.ended <- gnet.Run(e, "tcp://127.0.0.1:0",
			gnet.WithNumEventLoop(1), gnet.WithLogger(errorsOnly{}))
	}()
	select {
	case <-e.booted:
	case err := <-e.ended:
		return nil, "", fmt.Errorf("echo backend: %w", err)
	}
	address, err = e.address()
	if err != nil {
		e.stop()
		return nil, "", fmt.Errorf("echo backend: %w", err)
	}
	return e, address, nil
}

// address asks a duplicate of the listening socket for its name, because the
// framework keeps the ":0" it was given.
func (e *echo) address() (string, error) {
	fd, err := e.engine.Dup()
	if err != nil {
		return "", err
	}
	file := os.NewFile(uintptr(fd), "echo listener")
	defer file.Close()
	listener, err := net.FileListener(file)
	if err != nil {
		return "", err
	}
	defer listener.Close()
	return listener.Addr().String(), nil
}

func (e *echo) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_ = e.engine.Stop(ctx)
}

// errorsOnly keeps the framework's notes about its own start and stop out of the
// terminal; its log level option speaks of log files only.
type errorsOnly struct{}

func (errorsOnly) Debugf(string, ...any)             {}
func (errorsOnly) Infof(string, ...any)              {}
func (errorsOnly) Warnf(string, ...any)              {}
func (errorsOnly) Errorf(format string, args ...any) { log.Printf("echo backend: "+format, args...) }
func (errorsOnly) Fatalf(format string, args ...any) { log.Fatalf("echo backend: "+format, args...) }

// OnBoot keeps the engine, by which the listener is found and stopped.
func (e *echo) OnBoot(engine gnet.Engine) gnet.Action {
	e.engine = engine
	close(e.booted)
	return gnet.None
}

// OnOpen gives the connection its state.
func (e *echo) OnOpen(c gnet.Conn) ([]byte, gnet.Action) {
	c.SetContext(&echoConn{})
	return nil, gnet.None
}

// OnTraffic consumes what has arrived, as far as it is complete.
func (e *echo) OnTraffic(c gnet.Conn) gnet.Action {
	state := c.Context().(*echoConn)
	in, err := c.Peek(-1)
	if err != nil {
		return gnet.Close
	}
	e.out = e.out[:0]
	used, action := 0, gnet.None
	if !state.upgraded {
		used, action = e.upgrade(state, in)
	}
	if state.upgraded {
		used += e.frames(state, in[used:])
	}
	if used > 0 { // gnet takes 0 for "all"
		if _, err := c.Discard(used); err != nil {
			return gnet.Close
		}
	}
	if len(e.out) > 0 {
		if _, err := c.Write(e.out); err != nil {
			return gnet.Close
		}
	}
	if c.OutboundBuffered() > backlogBytesMax {
		return gnet.Close
	}
	if state.answered && c.OutboundBuffered() == 0 {
		return gnet.Close
	}
	return action
}

// upgrade answers the request head at the front of in, once it is complete.
func (e *echo) upgrade(state *echoConn, in []byte) (used int, action gnet.Action) {
	end := bytes.Index(in, []byte("\r\n\r\n"))
	if end < 0 {
		if len(in) > headBytesMax {
			e.out = appendRefusal(e.out, http.StatusRequestHeaderFieldsTooLarge)
			return len(in), gnet.Close
		}
		return 0, gnet.None
	}
	end += len("\r\n\r\n")
	req, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(in[:end])))
	if err != nil {
		e.out = appendRefusal(e.out, http.StatusBadRequest)
		return len(in), gnet.Close
	}
	key, ok := upgradeKey(req)
	if !ok {
		e.out = appendRefusal(e.out, http.StatusUpgradeRequired)
		return len(in), gnet.Close
	}
	e.out = fmt.Appendf(e.out, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"+
		"Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", acceptKey(key))
	state.upgraded = true
	return end, gnet.None
}

// upgradeKey checks a WebSocket handshake, RFC 6455 section 4.2.1.
func upgradeKey(req *http.Request) (key string, ok bool) {
	key = req.Header.Get("Sec-WebSocket-Key")
	ok = req.Method == http.MethodGet && req.ProtoAtLeast(1, 1) && key != "" &&
		strings.EqualFold(req.Header.Get("Upgrade"), "websocket") &&
		strings.Contains(strings.ToLower(req.Header.Get("Connection")), "upgrade") &&
		req.Header.Get("Sec-WebSocket-Version") == "13"
	return key, ok
}

func appendRefusal(dst []byte, status int) []byte {
	text := http.StatusText(status)
	return fmt.Appendf(dst, "HTTP/1.1 %d %s\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Connection: close\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s\n",
		status, text, len(text)+1, text)
}

// frames echoes the frames in in and returns how many bytes it used: all but an
// incomplete header or control frame at the end.
func (e *echo) frames(state *echoConn, in []byte) (used int) {
	for {
		if state.closing {
			return len(in)
		}
		if state.left > 0 {
			n := min(state.left, uint64(len(in)-used))
			payload := in[used : used+int(n)]
			e.out = appendUnmasked(e.out, payload, state.current.mask, state.current.length-state.left)
			state.left -= n
			used += int(n)
			if state.left > 0 {
				return used
			}
		}
		h, ok := parseHeader(in[used:])
		if !ok {
			return used
		}
		if code := h.refuse(state.fragmented, true); code != 0 {
			e.out = appendClose(e.out, code)
			state.closing = true
			continue
		}
		if !h.control() {
			used += h.size
			e.out = appendHeader(e.out, h.fin, h.opcode, h.length)
			state.fragmented = !h.fin
			state.current, state.left = h, h.length
			continue
		}
		end := used + h.size + int(h.length)
		if end > len(in) {
			return used
		}
		e.control(state, h, in[used+h.size:end])
		used = end
	}
}

// control answers a control frame: a Ping by a Pong, a Close by a Close,
// RFC 6455 section 5.5.
func (e *echo) control(state *echoConn, h header, masked []byte) {
	var buf [controlBytesMax]byte
	payload := appendUnmasked(buf[:0], masked, h.mask, 0)
	switch h.opcode {
	case opPing:
		e.out = append(appendHeader(e.out, true, opPong, h.length), payload...)
	case opClose:
		state.closing, state.answered = true, true
		switch {
		case len(payload) == 0:
			e.out = appendHeader(e.out, true, opClose, 0)
		case !validCloseCode(payload):
			e.out = appendClose(e.out, closeProtocol)
		default:
			e.out = append(appendHeader(e.out, true, opClose, 2), payload[:2]...)
		}
	}
}

// validCloseCode tells whether a Close frame's payload begins with a code that
// may stand in a frame, RFC 6455 section 7.4.
func validCloseCode(payload []byte) bool {
	if len(payload) < 2 {
		return false
	}
	code := binary.BigEndian.Uint16(payload)
	switch code {
	case 1004, 1005, 1006:
		return false
	}
	return code >= 1000 && code < 1015 || code >= 3000 && code < 5000
}
