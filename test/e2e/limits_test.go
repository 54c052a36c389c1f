package e2e_test

import (
	"testing"
	"time"

	"holdfast/test/proc"
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
			keep.Send(get("/?k=a"))
			keep.Body(keep.Response(200))
			other.Send(get("/?k=a"))
			other.Body(other.Response(200))
		}
		tunnel := proc.Dial(t, p.Front())
		tunnel.Handshake("x", "/ws?k=a")
		tunnel.EchoText("held")
		keep.Send(get("/?k=a"))
		keep.Body(keep.Response(429))
		keep.Send(get("/?k=b"))
		keep.Body(keep.Response(200))
		keep.Send(get("/")) // no key: not counted
		keep.Body(keep.Response(200))
		if p.Kind == proc.Holdfast {
			equal(t, "limited", p.Metrics(t)["holdfast_limited_total"], 1)
		}
		tunnel.Close()
		// The end of the tunnel is seen a moment later.
		for until := time.Now().Add(20 * time.Second); ; {
			other.Send(get("/?k=a"))
			head := other.Head()
			other.Body(head)
			if head.Status() == 200 {
				return
			}
			if time.Now().After(until) {
				t.Fatalf("status %d: the tunnel's count is not given back", head.Status())
			}
		}
	})
}
