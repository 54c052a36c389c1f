package shard

import (
	"testing"
)

// TestOverTLS: requests, bodies and tunnels are the same with TLS on either side.
func TestOverTLS(t *testing.T) {
	for name, l := range map[string]legs{
		"down": {down: true}, "up": {up: true}, "both": {down: true, up: true},
		"both with TLS 1.2": {down: true, up: true, version: 0x0303},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, site{tls: l})
			c := w.client()
			c.send(get("/own"))
			c.status(200)
			c.send(get("/"))
			u := w.upstream()
			u.head()
			u.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")
			c.status(200)
			down, up := w.tunnel()
			down.send("to the server")
			up.want("to the server")
			up.send("to the client")
			down.want("to the client")
			_ = down.CloseWrite()
			up.end()
			_ = up.CloseWrite()
			down.end()
		})
	}
}
