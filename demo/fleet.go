package demo

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

const (
	fleetMax    = 7_000 // tunnels of the demo's client at most; the demo's config holds 8,192
	dialers     = 16    // handshakes under way at once
	dialTimeout = 10 * time.Second
	byeTimeout  = 2 * time.Second // to wait for the echo of our Close
)

// fleet is the demo's own client: it opens tunnels through the proxy and holds
// them without a byte moving.
type fleet struct {
	target string // address of the proxy

	mu      sync.Mutex
	members map[*member]struct{}
	pending int    // asked for and not yet open
	failed  uint64 // since the start
	lastErr string
	serial  uint32             // source addresses handed out so far
	cancel  context.CancelFunc // ends the openings under way
	opening context.Context
}

// member is one tunnel, from the client's side.
type member struct {
	conn net.Conn
	gone chan struct{} // closed when the reader has seen the end
}

// fleetState is a fleet's numbers for the page.
type fleetState struct {
	Open    int    `json:"open"`
	Opening int    `json:"opening"`
	Failed  uint64 `json:"failed"`
	Max     int    `json:"max"`
	Error   string `json:"error,omitempty"` // the latest failure
}

func newFleet(target string) *fleet {
	f := &fleet{target: target, members: map[*member]struct{}{}}
	f.opening, f.cancel = context.WithCancel(context.Background())
	return f
}

func (f *fleet) state() fleetState {
	f.mu.Lock()
	defer f.mu.Unlock()
	return fleetState{Open: len(f.members), Opening: f.pending, Failed: f.failed, Max: fleetMax, Error: f.lastErr}
}

// errFleetFull says that a request would lead past fleetMax.
var errFleetFull = fmt.Errorf("the demo's client holds at most %d tunnels", fleetMax)

// open begins to open n more tunnels and returns at once.
func (f *fleet) open(n int) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if n < 1 {
		return errors.New("the number of tunnels must be 1 or more")
	}
	if n > fleetMax-len(f.members)-f.pending {
		return errFleetFull
	}
	f.pending += n
	jobs := make(chan struct{}, n)
	for range n {
		jobs <- struct{}{}
	}
	close(jobs)
	ctx := f.opening
	for range min(dialers, n) {
		go func() {
			for range jobs {
				f.openOne(ctx)
			}
		}()
	}
	return nil
}

func (f *fleet) openOne(ctx context.Context) {
	var conn net.Conn
	err := ctx.Err()
	if err == nil {
		conn, err = dialTunnel(ctx, f.target, f.nextSource())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending--
	switch {
	case ctx.Err() != nil: // closeAll came in between; not a failure
		if conn != nil {
			_ = conn.Close()
		}
	case err != nil:
		f.failed++
		f.lastErr = err.Error()
	default:
		m := &member{conn: conn, gone: make(chan struct{})}
		f.members[m] = struct{}{}
		go f.hold(m)
	}
}

// hold reads until the tunnel ends, so that a tunnel cut by someone else is
// noticed. It answers nothing: neither the proxy nor the backend of the demo asks.
func (f *fleet) hold(m *member) {
	sink := make([]byte, 64)
	for {
		if _, err := m.conn.Read(sink); err != nil {
			break
		}
	}
	_ = m.conn.Close()
	close(m.gone)
	f.mu.Lock()
	delete(f.members, m)
	f.mu.Unlock()
}

// closeAll ends every tunnel with a Close frame and waits for the end of each.
func (f *fleet) closeAll() {
	f.mu.Lock()
	f.cancel()
	f.opening, f.cancel = context.WithCancel(context.Background())
	f.lastErr = ""
	leaving := make(chan *member, len(f.members))
	for m := range f.members {
		leaving <- m
	}
	f.mu.Unlock()
	close(leaving)
	var group sync.WaitGroup
	for range dialers {
		group.Go(func() {
			for m := range leaving {
				m.leave()
			}
		})
	}
	group.Wait()
}

// leave says goodbye, RFC 6455 section 7.1.1: the server closes the connection.
func (m *member) leave() {
	_ = m.conn.SetWriteDeadline(time.Now().Add(byeTimeout))
	_, err := m.conn.Write(maskedClose(closeNormal))
	if err == nil {
		select {
		case <-m.gone:
			return
		case <-time.After(byeTimeout):
		}
	}
	_ = m.conn.Close()
	<-m.gone
}

// nextSource spreads the fleet over 127.1.0.1 and upwards, one address for 256
// tunnels, as if they came from many machines: one source address alone would run
// out of ports near 28,000 tunnels.
func (f *fleet) nextSource() net.IP {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.serial++
	block := f.serial >> 8
	return net.IPv4(127, byte(1+block>>8), byte(block), 1)
}

// dialTunnel opens a WebSocket to ws://address/ws from the given source address.
func dialTunnel(ctx context.Context, address string, source net.IP) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	dialer := net.Dialer{KeepAlive: -1} // the proxy's probes find dead peers; two sets would be noise
	if host, _, err := net.SplitHostPort(address); err == nil && net.ParseIP(host).IsLoopback() &&
		net.ParseIP(host).To4() != nil {
		dialer.LocalAddr = &net.TCPAddr{IP: source}
	}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	_ = conn.SetDeadline(deadline)
	if err := upgradeTunnel(conn, address); err != nil {
		_ = conn.Close()
		return nil, err
	}
	_ = conn.SetDeadline(time.Time{})
	return conn, nil
}

// upgradeTunnel sends the handshake and checks the answer, RFC 6455 section 4.1.
func upgradeTunnel(conn net.Conn, address string) error {
	var nonce [16]byte
	_, _ = rand.Read(nonce[:]) // never fails: crypto/rand ends the program instead
	key := base64.StdEncoding.EncodeToString(nonce[:])
	_, err := fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
		"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n", address, key)
	if err != nil {
		return err
	}
	head, err := readHead(conn)
	if err != nil {
		return fmt.Errorf("no answer to the upgrade: %w", err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(head)), nil)
	if err != nil {
		return fmt.Errorf("the answer to the upgrade: %w", err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("the upgrade was answered by %s", resp.Status)
	}
	if resp.Header.Get("Sec-WebSocket-Accept") != acceptKey(key) {
		return errors.New("the answer to the upgrade has a wrong Sec-WebSocket-Accept")
	}
	return nil
}

// readHead reads up to the empty line and keeps no reader: the echo backend sends
// nothing on its own behind it.
func readHead(r io.Reader) ([]byte, error) {
	head := make([]byte, 0, 512)
	for {
		if len(head) == cap(head) {
			if len(head) >= headBytesMax {
				return nil, errors.New("head too large")
			}
			head = append(head, 0)[:len(head)]
		}
		n, err := r.Read(head[len(head):cap(head)])
		head = head[:len(head)+n]
		if bytes.HasSuffix(head, []byte("\r\n\r\n")) {
			return head, nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// maskedClose is a client's Close frame, RFC 6455 sections 5.3 and 5.5.1.
func maskedClose(code uint16) []byte {
	frame := []byte{0x80 | opClose, 0x80 | 2}
	var mask [4]byte
	_, _ = rand.Read(mask[:])
	frame = append(frame, mask[:]...)
	return append(frame, byte(code>>8)^mask[0], byte(code)^mask[1])
}
