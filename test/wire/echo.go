package wire

import (
	"bufio"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
)

// echoChunk is how much of a payload the echo holds at once, bytes.
const echoChunk = 32 << 10

var chunks = sync.Pool{New: func() any { b := make([]byte, 0, echoChunk+16); return &b }}

// Echo serves one handshaken WebSocket: it sends every data frame back as it came,
// unmasked and streamed, answers Ping by Pong and Close by Close. It returns nil
// after a Close frame or a clean end, which it passes on (half-close) only when all
// is echoed; else the error that ended it.
func Echo(br *bufio.Reader, w io.Writer) error {
	for {
		// A read of one byte first: an idle connection must not hold a chunk.
		if _, err := br.Peek(1); err != nil {
			return ended(err)
		}
		h, err := ReadHeader(br)
		if err != nil {
			return err
		}
		if err := echoFrame(br, w, h); err != nil {
			return ended(err)
		}
		if h.Op == OpClose {
			return nil
		}
	}
}

func echoFrame(br *bufio.Reader, w io.Writer, h FrameHeader) error {
	buf := chunks.Get().(*[]byte)
	defer chunks.Put(buf)
	reply := FrameHeader{Op: h.Op, Fin: h.Fin, Length: h.Length}
	if h.Op == OpPing {
		reply.Op = OpPong
	}
	out := AppendHeader((*buf)[:0], reply)
	if h.Op == OpPong {
		out = out[:0]
	}
	var done uint64
	for {
		n := min(h.Length-done, echoChunk)
		at := len(out)
		out = out[:at+int(n)]
		if _, err := io.ReadFull(br, out[at:]); err != nil {
			return noEOF(err)
		}
		if h.Masked {
			Mask(out[at:], h.Key, done)
		}
		done += n
		if h.Op == OpPong {
			out = out[:0]
		}
		if len(out) > 0 {
			if _, err := w.Write(out); err != nil {
				return err
			}
		}
		if done == h.Length {
			return nil
		}
		out = out[:0]
	}
}

func ended(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// EchoServer is a WebSocket echo backend with one goroutine a connection. An idle
// connection holds a small read buffer and nothing else. It answers requests that
// are no upgrade with a short 200 and keeps them alive, so that it also serves as a
// plain HTTP backend.
type EchoServer struct {
	ln    net.Listener
	mu    sync.Mutex
	conns map[net.Conn]struct{}
	wg    sync.WaitGroup
}

// ListenEcho starts an EchoServer on address.
func ListenEcho(address string) (*EchoServer, error) {
	ln, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	s := &EchoServer{ln: ln, conns: map[net.Conn]struct{}{}}
	s.wg.Add(1)
	go s.accept()
	return s, nil
}

// Addr is the address the server listens on.
func (s *EchoServer) Addr() string { return s.ln.Addr().String() }

// Connections is the number of open connections.
func (s *EchoServer) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Close stops listening, closes every connection and waits for their ends.
func (s *EchoServer) Close() {
	s.ln.Close()
	s.mu.Lock()
	for c := range s.conns {
		c.Close()
	}
	s.conns = nil
	s.mu.Unlock()
	s.wg.Wait()
}

func (s *EchoServer) accept() {
	defer s.wg.Done()
	for {
		c, err := s.ln.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		if s.conns == nil {
			s.mu.Unlock()
			c.Close()
			return
		}
		s.conns[c] = struct{}{}
		s.wg.Add(1)
		s.mu.Unlock()
		go s.serve(c)
	}
}

func (s *EchoServer) serve(c net.Conn) {
	defer s.wg.Done()
	defer func() {
		c.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	br := bufio.NewReaderSize(c, 4096)
	for {
		h, err := ReadHead(br)
		if err != nil {
			return
		}
		if h.IsUpgrade() {
			if _, err := io.WriteString(c, SwitchResponse(h.Get("Sec-WebSocket-Key"))); err != nil {
				return
			}
			_ = Echo(br, c)
			return
		}
		if !s.plain(c, br, h) {
			return
		}
	}
}

// plain answers a request that is no upgrade and tells whether the connection lives on.
func (s *EchoServer) plain(c net.Conn, br *bufio.Reader, h Head) bool {
	if n := h.ContentLength(); n > 0 {
		if _, err := io.CopyN(io.Discard, br, n); err != nil {
			return false
		}
	}
	_, err := io.WriteString(c, Lines("HTTP/1.1 200 OK", "Content-Type: text/plain", "Content-Length: 5")+"echo\n")
	return err == nil && !strings.EqualFold(h.Get("Connection"), "close")
}
