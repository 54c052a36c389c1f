// Package health asks the servers of upstream groups on its own account how they are, as the
// health_check directive says: over HTTP, or over a plain connection. What it finds keeps
// requests away from a server (upstream.Peer.Hold); the requests and tunnels that a server has
// go on. Nothing of it runs on a shard's thread.
package health

import (
	"context"
	"crypto/tls"
	"net"
	"net/netip"
	"strconv"
	"time"

	"holdfast/upstream"
)

// Check is one health_check of a group. It is immutable.
type Check struct {
	// Key tells the check from others: the check of the next configuration with the same Key
	// goes on with what this one knows.
	Key string
	// Group is what is checked: all servers that are not marked down. Upstream is its name in
	// log lines, and Match that of the match block, empty for none.
	Group           *upstream.Group
	Upstream, Match string

	// Interval is from the end of one check of a server to the next, and up to Jitter more.
	Interval, Jitter time.Duration
	// Fails checks in a row that fail make a server unhealthy, Passes that pass healthy again.
	Fails, Passes int
	// Mandatory keeps requests from a server until it has passed. A server that was healthy
	// under the configuration before stays so only with Persistent.
	Mandatory, Persistent bool

	// Port takes the place of the server's; 0 for none.
	Port uint16
	// Local is the address to connect from; not valid for any.
	Local netip.Addr
	// ConnectTimeout bounds connecting and the TLS handshake. Timeout bounds each later step of
	// HTTP: sending, reading the head, reading the body; of a stream the whole check.
	ConnectTimeout, Timeout time.Duration
	// Greeting goes out before anything else: the header of the PROXY protocol; nil for none.
	Greeting []byte
	// TLS makes the configuration of a handshake; nil speaks in the clear.
	TLS func() *tls.Config

	// One of the two is set.
	HTTP   *HTTP
	Stream *Stream
}

// fault is why a check failed: what happened and during what. Its zero value is success.
type fault struct {
	// text is the log line of an error, empty where a test was not passed; then found is what was
	// tested.
	text, found string
	// while is what was being done.
	while string
}

// The steps of a check, in nginx's words.
const (
	whileConnecting  = "connecting to upstream"
	whileHandshaking = "SSL handshaking to upstream"
	whileSending     = "sending request to upstream"
	whileReadingHead = "reading response header from upstream"
	whileReading     = "reading upstream"
	whileStatus      = "checking status code"
	whileHeader      = "checking header"
	whileBody        = "checking body"
	whileData        = "checking data"
)

// line is a connection to a peer, perhaps kept for the next check.
type line struct {
	net.Conn
	since time.Time
	used  bool
}

// dialer opens connections; net.Dialer.DialContext but for tests.
type dialer func(ctx context.Context, network, address string, local netip.Addr) (net.Conn, error)

func dial(ctx context.Context, network, address string, local netip.Addr) (net.Conn, error) {
	var d net.Dialer
	if local.IsValid() && network == "tcp" {
		d.LocalAddr = &net.TCPAddr{IP: local.AsSlice(), Zone: local.Zone()}
	}
	return d.DialContext(ctx, network, address)
}

// run makes one check of p, on kept if that is not nil. The connection that comes back is for the
// next check, nil for none.
func (c *Check) run(ctx context.Context, dial dialer, p *upstream.Peer, kept *line) (*line, fault) {
	if kept != nil && time.Since(kept.since) >= c.HTTP.KeepaliveTime {
		_ = kept.Close()
		kept = nil
	}
	if kept != nil {
		again, f := c.speak(ctx, kept)
		if f != (fault{}) && kept.used {
			// The peer may have closed it before the request came: that says nothing about it.
			_ = kept.Close()
		} else {
			return again, f
		}
	}
	conn, f := c.connect(ctx, dial, p)
	if f != (fault{}) {
		return nil, f
	}
	return c.speak(ctx, &line{Conn: conn, since: time.Now()})
}

// connect opens a connection, with the handshake of TLS.
func (c *Check) connect(ctx context.Context, dial dialer, p *upstream.Peer) (net.Conn, fault) {
	limit := c.ConnectTimeout
	if c.Stream != nil {
		limit = min(limit, c.Timeout)
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	network, address := "unix", p.Unix
	if p.Unix == "" {
		network, address = "tcp", p.Addr.String()
		if c.Port != 0 {
			address = net.JoinHostPort(p.Addr.Addr().String(), strconv.Itoa(int(c.Port)))
		}
	}
	conn, err := dial(ctx, network, address, c.Local)
	if err != nil {
		return nil, failed("connect()", err, whileConnecting)
	}
	if len(c.Greeting) > 0 {
		_ = conn.SetDeadline(time.Now().Add(limit))
		if _, err := conn.Write(c.Greeting); err != nil {
			_ = conn.Close()
			return nil, failed("send()", err, whileSending)
		}
	}
	if c.TLS == nil {
		return conn, fault{}
	}
	secured := tls.Client(conn, c.TLS())
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, failed("SSL_do_handshake()", err, whileHandshaking)
	}
	return secured, fault{}
}

// speak makes the check on an open connection, which ends with ctx.
func (c *Check) speak(ctx context.Context, l *line) (*line, fault) {
	forget := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer forget()
	if c.Stream != nil {
		defer l.Close()
		return nil, c.Stream.check(l, c.Timeout)
	}
	keep, f := c.HTTP.check(l, c.Timeout)
	if keep && f == (fault{}) {
		l.used = true
		return l, f
	}
	if !l.used || f == (fault{}) {
		_ = l.Close()
	}
	return nil, f
}
