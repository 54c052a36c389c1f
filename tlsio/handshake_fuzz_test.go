package tlsio_test

import (
	"crypto/tls"
	"net"
	"testing"

	"holdfast/tlsio"
)

// FuzzHandshake sends a server, or a client, what a stranger may send. Whatever it is, the
// handshake ends once the stranger has closed, and says why.
func FuzzHandshake(f *testing.F) {
	certs := makeCertificates(f)
	r := newHandshaker(f, tlsio.PoolOptions{})
	hello := firstFlight(f, certs.clientConfig())
	f.Add(hello, false)
	f.Add(hello[:60], false)
	f.Add([]byte("GET / HTTP/1.1\r\n\r\n"), true)
	f.Add([]byte{21, 3, 3, 0, 2, 2, 40}, true)
	f.Add([]byte{22, 3, 3, 0, 0, 22, 3, 3, 0, 1, 2}, true)
	f.Fuzz(func(t *testing.T, sent []byte, client bool) {
		fd, conn := pair(t)
		o := tlsio.Order{FD: fd, Choose: only(certs.server())}
		if client {
			o = tlsio.Order{FD: fd, Client: certs.clientConfig()}
		}
		_, c := r.start(o)
		_, _ = conn.Write(sent)
		_ = conn.(*net.TCPConn).CloseWrite()
		res := await(t, c)
		if res.Err == nil {
			t.Fatal("a handshake with nobody")
		}
		if class(t, res) == tlsio.FailTimeout || res.Err.Error() == "" {
			t.Error(res.Err)
		}
	})
}

// fragments splits the handshake messages in the clear into many records.
type fragments struct {
	net.Conn
	sealed bool // ChangeCipherSpec was said
}

func (f *fragments) Write(b []byte) (int, error) {
	var out []byte
	for in := b; len(in) > 0; {
		n := recordAt + int(in[3])<<8 + int(in[4])
		record := in[:n]
		in = in[n:]
		f.sealed = f.sealed || record[0] == 20
		if record[0] != 22 || f.sealed {
			out = append(out, record...)
			continue
		}
		for payload := record[recordAt:]; len(payload) > 0; {
			k := min(7, len(payload))
			out = append(append(out, record[0], record[1], record[2], 0, byte(k)), payload[:k]...)
			payload = payload[k:]
		}
	}
	if _, err := f.Conn.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

// The randoms of TLS 1.2 are found in hellos that come in many records.
func TestFragmentedHello(t *testing.T) {
	t.Parallel()
	certs := makeCertificates(t)
	r := newHandshaker(t, tlsio.PoolOptions{})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		client := certs.clientConfig()
		client.MinVersion, client.MaxVersion = version, version
		fd, conn := pair(t)
		_, c := r.start(tlsio.Order{FD: fd, Choose: only(certs.server())})
		peer := tls.Client(&fragments{Conn: conn}, client)
		if err := peer.Handshake(); err != nil {
			t.Fatal(err)
		}
		res := await(t, c)
		if res.Err != nil {
			t.Fatal(res.Err)
		}
		exchange(t, openSide(t, fd, res), peer)

		fd, conn = pair(t)
		_, c = r.start(tlsio.Order{FD: fd, Client: certs.clientConfig()})
		server := certs.server()
		server.MaxVersion = version
		peer = tls.Server(&fragments{Conn: conn}, server)
		if err := peer.Handshake(); err != nil {
			t.Fatal(err)
		}
		if res = await(t, c); res.Err != nil {
			t.Fatal(res.Err)
		}
		exchange(t, openSide(t, fd, res), peer)
	}
}
