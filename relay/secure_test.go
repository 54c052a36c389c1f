package relay_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"testing"

	"holdfast/internal/sys"
	"holdfast/pool"
	"holdfast/relay"
	"holdfast/tlsio"
)

// tlsEnd is a test's end of a connection, with or without TLS.
type tlsEnd struct {
	fd    int32
	layer *tlsio.Layer
	id    uint32 // 0: without
	got   []byte
	eof   bool
}

// secure gives a half and the test's end of its socket keys that fit each other.
func (r *rig) secure(h *relay.Half, fd int32, rng *rand.Rand) *tlsEnd {
	e := &tlsEnd{fd: fd, layer: tlsio.NewLayer(pool.NewBufs(1 << 30))}
	one := tlsio.Established{Version: tlsio.TLS13, Suite: 0x1301}
	for i := range 32 {
		one.In.Secret[i], one.Out.Secret[i] = byte(rng.Uint32()), byte(rng.Uint32())
	}
	other := one
	other.In, other.Out, other.Client = one.Out, one.In, true
	h.Secure(r.m.TLS.Open(&one, nil))
	e.id = e.layer.Open(&other, nil)
	r.t.Cleanup(func() {
		e.layer.Close(e.id)
		r.m.TLS.Close(h.TLS())
		if n, _ := r.sealed.Lent(); n != 0 || r.m.TLS.Len() > 1 {
			r.t.Errorf("%d buffers of TLS are lent at the end", n)
		}
		h.Unsecure()
	})
	return e
}

func (e *tlsEnd) write(b []byte) int {
	var n int
	var errno sys.Errno
	if e.id == 0 {
		n, errno = sys.Write(e.fd, b)
	} else {
		e.layer.Flush(e.id, e.fd)
		n, errno = e.layer.Write(e.id, e.fd, b)
	}
	if errno != 0 {
		return 0
	}
	return n
}

// finish ends the stream; false: not yet.
func (e *tlsEnd) finish() bool {
	if e.id != 0 && e.layer.CloseNotify(e.id, e.fd) != 0 {
		return false
	}
	sys.ShutdownWrite(e.fd)
	return true
}

func (e *tlsEnd) read(max int) {
	b := make([]byte, max)
	var n int
	var errno sys.Errno
	if e.id == 0 {
		n, errno = sys.Recv(e.fd, b)
	} else {
		n, errno = e.layer.Recv(e.id, e.fd, b)
	}
	if errno == 0 {
		e.got = append(e.got, b[:n]...)
		e.eof = e.eof || n == 0
	}
}

// TestSecuredTunnels: streams of frames both ways, of all sizes and at all speeds, arrive
// whole and in order, with TLS on either side or both; messages are counted once; each end
// arrives as one.
func TestSecuredTunnels(t *testing.T) {
	for i := range 24 {
		down, up := i%3 != 1, i%3 != 0
		left, right := tcpPair, tcpPair
		if i%4 >= 2 {
			left = tiny(tcpPair)
		}
		if i%8 >= 4 {
			right = tiny(tcpPair)
		}
		t.Run(fmt.Sprintf("%d", i), func(t *testing.T) {
			t.Parallel()
			rng := rand.New(rand.NewPCG(uint64(i), 5))
			r := newRig(t, left, right)
			client, server := &tlsEnd{fd: r.client}, &tlsEnd{fd: r.server}
			if down {
				client = r.secure(&r.down, r.client, rng)
			}
			if up {
				server = r.secure(&r.up, r.server, rng)
			}
			if i%6 == 5 {
				r.m.Bufs = pool.NewBufs(0) // full from the start
			}
			r.exchange(client, server, rng)
		})
	}
}

func (r *rig) exchange(client, server *tlsEnd, rng *rand.Rand) {
	r.down.FollowFrames()
	r.up.FollowFrames()
	size := 100_000 + rng.IntN(1_000_000)
	toServer, toClient := frameStream(rng, size), frameStream(rng, size)
	type side struct {
		from, to *tlsEnd
		b        []byte
		sent     int
		ended    bool
	}
	sides := []*side{{from: client, to: server, b: toServer}, {from: server, to: client, b: toClient}}
	r.until("all arrives", func() bool {
		for _, s := range sides {
			if s.sent < len(s.b) {
				s.sent += s.from.write(s.b[s.sent:min(len(s.b), s.sent+1+rng.IntN(1<<rng.IntN(18)))])
			} else if !s.ended {
				s.ended = s.from.finish()
			}
			for rng.IntN(3) > 0 {
				s.to.read(1 + rng.IntN(1<<rng.IntN(17)))
			}
		}
		return client.eof && server.eof
	})
	if !bytes.Equal(server.got, toServer) || !bytes.Equal(client.got, toClient) {
		r.t.Fatalf("got %d of %d bytes and %d of %d, or others", len(server.got), len(toServer), len(client.got), len(toClient))
	}
	if have, want := of(&r.down), naive(toServer); have != want {
		r.t.Errorf("towards the server: %+v, want %+v", have, want)
	}
	if have, want := of(&r.up), naive(toClient); have != want {
		r.t.Errorf("towards the client: %+v, want %+v", have, want)
	}
	for _, e := range []*tlsEnd{client, server} {
		if e.id != 0 && e.layer.Truncated(e.id) {
			r.t.Error("an end came without close_notify")
		}
	}
}
