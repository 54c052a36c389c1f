package e2e_test

import (
	"fmt"
	"testing"

	"holdfast/test/proc"
	"holdfast/test/wire"
)

// limited lets one request at a time through for a value of the argument k.
const limited = `
limit_conn_zone $arg_k zone=one:1m;
map $http_upgrade $connection_upgrade { default upgrade; '' close; }
server {
	listen 127.0.0.1:{{port:front}};
	location / {
		limit_conn one 1; limit_conn_status 429;
		proxy_pass http://{{backend}}; proxy_http_version 1.1;
		proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
	}
}`

// A tunnel counts for as long as it lives, a connection between two requests does not, and
// every key counts by itself.
func TestLimitConn(t *testing.T) {
	b := proc.NewBackend(t, proc.Echo())
	both(t, proc.Spec{HTTP: limited, Vars: map[string]string{"backend": b.Addr}}, func(t *testing.T, p *proc.Proxy) {
		keep, other := proc.Dial(t, p.Front()), proc.Dial(t, p.Front())
		for range 3 {
			granted(t, keep)
			granted(t, other)
		}
		var tunnel *proc.Raw
		proc.Until(t, "nginx has given back the count of the last request", func() error {
			tunnel = proc.Dial(t, p.Front())
			tunnel.Send(wire.UpgradeRequest("x", "/ws?k=a"))
			if h := tunnel.Head(); h.Status() != 101 {
				return fmt.Errorf("status %d", h.Status())
			}
			return nil
		})
		tunnel.EchoText("held")
		keep.Send(get("/?k=a"))
		keep.Body(keep.Response(429))
		keep.Send(get("/?k=b"))
		keep.Body(keep.Response(200))
		keep.Send(get("/")) // no key: not counted
		keep.Body(keep.Response(200))
		if p.Kind == proc.Holdfast {
			equal(t, "refused", p.Metrics(t)["holdfast_limited_total"] >= 1, true)
		}
		tunnel.Close()
		granted(t, other)
	})
}

// granted asks until the request is let through: the end of another is seen a moment later.
func granted(t *testing.T, c *proc.Raw) {
	t.Helper()
	proc.Until(t, "a request is let through", func() error {
		c.Send(get("/?k=a"))
		h := c.Head()
		c.Body(h)
		if h.Status() != 200 {
			return fmt.Errorf("status %d", h.Status())
		}
		return nil
	})
}
