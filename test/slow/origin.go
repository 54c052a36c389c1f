package slow

import (
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// StreamBytes is the length of Origin's /stream.
const StreamBytes = 1_000_000_000

// SmallBody is what Origin answers to /small.
var SmallBody = strings.Repeat("small body\n", 12)

// Origin is an HTTP server: /small is answered with SmallBody, /stream with StreamBytes
// zeros, /upload with nothing when the whole body has been read.
type Origin struct {
	// Addr is where it listens, host:port.
	Addr   string
	server *http.Server
}

// StartOrigin starts an Origin on a free port of 127.0.0.1. Close it in the end.
func StartOrigin() (*Origin, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	o := &Origin{Addr: ln.Addr().String(), server: &http.Server{Handler: http.HandlerFunc(serve), ConnState: holdLittle}}
	go func() { _ = o.server.Serve(ln) }()
	return o, nil
}

// Close stops listening and closes every connection.
func (o *Origin) Close() { _ = o.server.Close() }

// sendBytes is the send buffer of the origin's sockets (SO_SNDBUF), so that what a stream
// fills are the buffers of the server under test. On one machine hundreds of streams would
// else drive the kernel into its limit for all sockets (tcp_mem).
const sendBytes = 64 << 10

func holdLittle(conn net.Conn, state http.ConnState) {
	if tcp, ok := conn.(*net.TCPConn); ok && state == http.StateNew {
		_ = tcp.SetWriteBuffer(sendBytes)
	}
}

func serve(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/small":
		_, _ = io.WriteString(w, SmallBody)
	case "/stream":
		w.Header().Set("Content-Length", strconv.Itoa(StreamBytes))
		zeros := make([]byte, 50_000)
		for left := StreamBytes; left > 0; left -= len(zeros) {
			if _, err := w.Write(zeros); err != nil {
				return
			}
		}
	case "/upload":
		_, _ = io.Copy(io.Discard, r.Body)
	default:
		http.NotFound(w, r)
	}
}
