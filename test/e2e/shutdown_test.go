package e2e_test

import (
	"testing"

	"holdfast/test/proc"
)

// QUIT waits for tunnels no longer than worker_shutdown_timeout. Without the limit this one
// would live on, and Stop would report a process that does not end.
func TestShutdownTimeout(t *testing.T) {
	back := proc.NewBackend(t, proc.Echo())
	p := holdfast(t, proc.Spec{
		Main: "worker_shutdown_timeout 300ms;",
		HTTP: "server { listen 127.0.0.1:{{port:front}}; location / { proxy_pass http://" + back.Addr + "; } }",
	})
	tunnel := proc.Dial(t, p.Front())
	tunnel.Handshake("x", "/ws")
	tunnel.EchoText("hello")
	p.Stop(t, sigQUIT)
	tunnel.ExpectEnd()
}
