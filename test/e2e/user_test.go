package e2e_test

import (
	"os"
	"syscall"
	"testing"

	"holdfast/test/proc"
)

// nobody is the customary unprivileged user and group of Linux.
const nobody = 65534

// unprivileged is a user for a process that must not be root: nobody when the tests run
// as root, else the caller itself, who is unprivileged already.
func unprivileged() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	return &syscall.Credential{Uid: nobody, Gid: nobody}
}

// Without privileges pipes are small past a quota, and limits are lower: the relay must
// work all the same, for small messages and for streams that it splices.
func TestAsUnprivilegedUser(t *testing.T) {
	size := bulkBytes() / 2
	b := proc.NewBackend(t, proc.ByPath(map[string]proc.Behaviour{
		"/echo": proc.Echo(),
		"/bulk": bulkBackend(t, size),
		"/page": proc.Answer(200, "page"),
	}))
	spec := to(b)
	spec.User = unprivileged()
	both(t, spec, func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		c.Handshake("x", "/echo")
		c.EchoText("as nobody")
		plain := proc.Dial(t, p.Front())
		plain.Send(get("/page"))
		equal(t, "body", string(plain.Body(plain.Response(200))), "page")
		relayBothWays(t, p, "/bulk", size)
		c.EchoText("still there")
	})
}

// Many streams at once, so that more pipes are out than one user's quota has large ones.
func TestManyStreamsAsUnprivilegedUser(t *testing.T) {
	const streams = 40
	size := bulkBytes() / streams
	b := proc.NewBackend(t, bulkBackend(t, size))
	spec := to(b)
	spec.User = unprivileged()
	p := holdfast(t, spec)
	t.Run("streams", func(t *testing.T) {
		for range streams {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				relayBothWays(t, p, "/", size)
			})
		}
	})
}
