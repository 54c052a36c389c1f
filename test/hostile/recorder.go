package hostile

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"holdfast/test/proc"
	"holdfast/test/wire"
)

// Recorder is a backend that keeps every byte it gets, connection by connection, and
// answers what it takes for requests: with the target as the body, with a 101 to an
// upgrade of any protocol, or once with the script of a case.
type Recorder struct {
	// Addr is the address it listens on.
	Addr string

	ln    net.Listener
	mu    sync.Mutex
	conns []*recording
	// script is what the next request that is no probe is answered with.
	script []Step
	// bytewise sends the script in segments of one byte.
	bytewise bool
	wg       sync.WaitGroup
}

// recording is one connection from the proxy.
type recording struct {
	conn net.Conn
	data []byte
	// mark is where the bytes of the current case begin, read how far requests were answered.
	mark, read int
	// tunnel is where the bytes behind a 101 begin; 0 before.
	tunnel int
	// scripted is set once the script was played here, answered once there was a request,
	// reused when a request came behind the one that the script answered.
	scripted, answered, reused bool
	// playing is set while the script is being sent, until the proxy's kernel has it all.
	playing bool
	// spoilt is set when it was ended by us, ended when it is over.
	spoilt, ended bool
}

// pause lets the peer's kernel deliver what was sent so far.
const pause = 25 * time.Millisecond

// bytewiseMost is the most that is sent byte by byte; what is longer goes as it is.
const bytewiseMost = 2000

// recorderMark tells the recorder's answers from the proxy's.
const recorderMark = "x-recorder"

// NewRecorder starts a recorder on a free port of 127.0.0.1.
func NewRecorder() (*Recorder, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &Recorder{Addr: ln.Addr().String(), ln: ln}
	r.wg.Go(r.accept)
	return r, nil
}

// Close ends it and all its connections.
func (r *Recorder) Close() {
	r.ln.Close()
	r.mu.Lock()
	for _, c := range r.conns {
		c.conn.Close()
	}
	r.mu.Unlock()
	r.wg.Wait()
}

func (r *Recorder) accept() {
	for {
		conn, err := r.ln.Accept()
		if err != nil {
			return
		}
		c := &recording{conn: conn}
		r.mu.Lock()
		r.conns = append(r.conns, c)
		var script []Step
		if len(r.script) > 0 && r.script[0].Then == ActionAccept {
			script = r.takeScript(c)[1:]
		}
		r.wg.Go(func() { r.serve(c, script) })
		r.mu.Unlock()
	}
}

// takeScript gives the script away; the lock is held.
func (r *Recorder) takeScript(c *recording) []Step {
	script := r.script
	r.script, c.scripted, c.playing = nil, true, true
	return script
}

func (r *Recorder) serve(c *recording, script []Step) {
	defer func() {
		c.conn.Close()
		r.mu.Lock()
		c.ended = true
		r.mu.Unlock()
	}()
	if script != nil && !r.playScript(c, script, false) {
		return
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := c.conn.Read(buf)
		r.mu.Lock()
		c.data = append(c.data, buf[:n]...)
		r.mu.Unlock()
		if err != nil || !r.answerAll(c) {
			return
		}
	}
}

// answerAll answers the requests that are whole; false when the connection is to end.
func (r *Recorder) answerAll(c *recording) bool {
	for {
		r.mu.Lock()
		if c.tunnel > 0 {
			r.mu.Unlock()
			return true
		}
		views := Readers[1].Requests(c.data[c.read:])
		if len(views) == 0 {
			r.mu.Unlock()
			return true
		}
		m := views[0]
		probe := strings.Contains(m.Start, probeTarget)
		early := len(r.script) > 0 && r.script[0].Then == ActionEarly && m.Body > 0 && !probe
		if (!m.Whole || m.Bad != "") && !early {
			r.mu.Unlock()
			return true
		}
		c.read += m.End
		c.reused = c.reused || c.scripted && c.answered
		c.answered = true
		bytewise := r.bytewise && !probe
		if len(r.script) > 0 && !probe {
			steps := r.takeScript(c)
			r.mu.Unlock()
			if !r.playScript(c, steps, bytewise) {
				return false
			}
			continue
		}
		steps := r.usual(c, &m)
		r.mu.Unlock()
		if !play(c.conn, steps, bytewise) {
			return false
		}
	}
}

// playScript sends a script and waits until it has arrived: what comes later than the
// next request no proxy can tell from the answer to that.
func (r *Recorder) playScript(c *recording, script []Step, bytewise bool) bool {
	goesOn := play(c.conn, script, bytewise)
	if goesOn {
		_ = proc.Poll(10*time.Second, func() error { return arrived(c.conn) })
	}
	r.mu.Lock()
	c.playing = false
	r.mu.Unlock()
	return goesOn
}

// arrived is an error while the peer's kernel has not acknowledged all that was sent.
func arrived(conn net.Conn) error {
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		return err
	}
	const closed = 7 // TCP_CLOSE of the kernel: after a reset nothing arrives any more
	unsent := 0
	err = raw.Control(func(fd uintptr) {
		info, failed := unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO)
		if failed == nil && info.State != closed {
			unsent, _ = unix.IoctlGetInt(int(fd), unix.TIOCOUTQ)
		}
	})
	if err == nil && unsent > 0 {
		return fmt.Errorf("%d bytes on their way", unsent)
	}
	return nil
}

// usual is the answer without a script; the lock is held.
func (r *Recorder) usual(c *recording, m *Message) []Step {
	protocol, upgrade := m.Value("upgrade")
	connection, _ := m.Value("connection")
	if upgrade && strings.Contains(strings.ToLower(connection), "upgrade") {
		c.tunnel = c.read
		protocol, _, _ = strings.Cut(protocol, ",")
		key, _ := m.Value("sec-websocket-key")
		return []Step{{Bytes: []byte(wire.Lines("HTTP/1.1 101 Switching Protocols", "Connection: Upgrade",
			"Upgrade: "+protocol, "Sec-WebSocket-Accept: "+wire.AcceptKey(key)))}}
	}
	words := strings.Fields(m.Start)
	body := "?"
	if len(words) > 1 {
		body = words[1]
	}
	head := wire.Lines("HTTP/1.1 200 OK", "X-Recorder: yes", "Content-Length: "+strconv.Itoa(len(body)))
	if len(words) > 0 && words[0] == "HEAD" {
		body = ""
	}
	return []Step{{Bytes: []byte(head + body)}}
}

// play sends the steps; false when they end the connection.
func play(conn net.Conn, steps []Step, bytewise bool) bool {
	_ = conn.SetWriteDeadline(time.Now().Add(10 * time.Second))
	for _, s := range steps {
		piece := len(s.Bytes)
		if bytewise && piece <= bytewiseMost {
			piece = 1
		}
		for rest := s.Bytes; len(rest) > 0; rest = rest[piece:] {
			if _, err := conn.Write(rest[:piece]); err != nil {
				return false
			}
		}
		switch s.Then {
		case ActionPause:
			time.Sleep(pause)
		case ActionFIN:
			_ = conn.(*net.TCPConn).CloseWrite()
		case ActionReset:
			_ = conn.(*net.TCPConn).SetLinger(0)
			return false
		case ActionClose:
			return false
		}
	}
	return true
}

// begin starts a case: from here on the bytes are its own. A script that is to be sent
// at the accept needs a new connection, so the idle ones end.
func (r *Recorder) begin(script []Step, bytewise bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	kept := r.conns[:0]
	for _, c := range r.conns {
		if len(script) > 0 && script[0].Then == ActionAccept {
			c.spoilt = true
			c.conn.Close()
		}
		if !c.ended && !c.spoilt {
			c.mark, c.answered = len(c.data), false
			kept = append(kept, c)
		}
	}
	r.conns, r.script, r.bytewise = kept, script, bytewise
}

// stream is what one connection carried during a case.
type stream struct {
	data   []byte
	tunnel []byte
	busy   bool // in the middle of a request, and open
}

// streams are those of the case so far.
func (r *Recorder) streams() []stream {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []stream
	for _, c := range r.conns {
		end := len(c.data)
		if c.tunnel > 0 {
			end = c.tunnel
		}
		if len(c.data) == c.mark && !c.playing {
			continue
		}
		all = append(all, stream{
			data:   append([]byte(nil), c.data[min(c.mark, end):end]...),
			tunnel: append([]byte(nil), c.data[end:]...),
			busy:   !c.ended && (c.playing || c.tunnel > 0 || c.read < len(c.data)),
		})
	}
	return all
}

// reused tells whether a request came on the connection of the script, behind it.
func (r *Recorder) reused() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.conns {
		if c.reused {
			return true
		}
	}
	return false
}

// end ends what the case left half done or out of step, and tells whether there was any:
// then the proxy may not know it yet.
func (r *Recorder) end(reuse bool) (ended bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.script = nil
	for _, c := range r.conns {
		if c.scripted && !reuse || c.tunnel > 0 || c.read < len(c.data) {
			ended = ended || !c.ended
			c.spoilt = true
			c.conn.Close()
		}
		c.scripted, c.reused = false, false
	}
	return ended
}
