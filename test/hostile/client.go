package hostile

import (
	"errors"
	"net"
	"strings"
	"sync"
	"time"
)

// client plays one case's client and keeps every byte that comes back.
type client struct {
	conn    net.Conn
	methods []string

	mu   sync.Mutex
	data []byte
	// fin and reset are how the proxy ended the connection; both false while it is open.
	fin, reset bool
	news       chan struct{}
	over       sync.WaitGroup
}

// startClient connects and begins to send and to read.
func startClient(front string, steps []Step, bytewise bool) (*client, error) {
	conn, err := net.DialTimeout("tcp", front, 10*time.Second)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, news: make(chan struct{}, 1)}
	for _, m := range Readers[1].Requests(joined(steps)) {
		method, _, _ := strings.Cut(m.Start, " ")
		c.methods = append(c.methods, method)
	}
	c.over.Go(func() { play(conn, steps, bytewise) })
	c.over.Go(c.read)
	return c, nil
}

func (c *client) read() {
	buf := make([]byte, 64<<10)
	for {
		n, err := c.conn.Read(buf)
		c.mu.Lock()
		c.data = append(c.data, buf[:n]...)
		if err != nil && !errors.Is(err, net.ErrClosed) {
			c.reset = strings.Contains(err.Error(), "reset")
			c.fin = !c.reset
		}
		c.mu.Unlock()
		select {
		case c.news <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// close ends the connection and waits for both directions.
func (c *client) close() {
	c.conn.Close()
	c.over.Wait()
}

// seen is what has come back so far.
func (c *client) seen() (data []byte, fin, ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]byte(nil), c.data...), c.fin, c.fin || c.reset
}

// outcome is what the client makes of it now, but for how many requests were forwarded.
// pending means that an answer has begun and may still go on.
func (c *client) outcome() (o Outcome, pending bool) {
	data, fin, ended := c.seen()
	const start = "HTTP/1."
	if n := min(len(data), len(start)); string(data[:n]) != start[:n] {
		return Outcome{End: EndHeadless}, !ended
	}
	var last *Message
	for _, m := range Readers[1].Responses(data, c.methods, fin) {
		if m.interim() && m.Whole || m.Body == 0 {
			continue
		}
		o.Statuses = append(o.Statuses, m.Status())
		last = &m
	}
	switch {
	case last == nil && ended:
		o.End = EndClosed
	case last == nil:
		o.End = EndWaits
	case !last.Whole && ended:
		o.End = EndCut
	case last.Status() == 101:
		o.End = EndSwitched
	case last.Status() >= 400 && !fromBackend(last):
		o.End = EndRefused
	}
	return o, last != nil && !last.Whole && !ended
}

// fromBackend tells the backend's errors, which are marked, from the proxy's own.
func fromBackend(m *Message) bool {
	_, marked := m.Value(recorderMark)
	return marked
}
