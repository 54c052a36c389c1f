package tlsio_test

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"holdfast/internal/sys"
	"holdfast/tlsio"
)

// kernelLenient is what the kernel lets pass, and what it says nothing of.
var kernelLenient = map[string]bool{
	// Records without data don't get to us.
	"a flood of empty records": true,
	"a flood of padding":       true,
	"a flood of everything":    true,
}

// TestKernelMisbehaving has the kernel and the layer meet each misbehaviour: it ends in the
// same way, if not with the same words and the same alert, which are the kernel's to find.
func TestKernelMisbehaving(t *testing.T) {
	k := kernelTLS(t)
	for _, m := range misbehaviours {
		t.Run(m.name, func(t *testing.T) {
			for _, s := range suites {
				for _, client := range []bool{true, false} {
					if m.meant(s, client) {
						m.runKernel(t, k, s, client)
					}
				}
			}
		})
	}
}

func (m misbehaviour) runKernel(t *testing.T, k tlsio.Kernel, s suite, client bool) {
	r := newKernelRig(t, s, client)
	defer r.close()
	w := &wire{t: t, out: r.out}
	m.send(w)
	r.raw(w.b)
	if m.errno == sys.EBADMSG && !m.fin {
		r.raw(make([]byte, 20_000)) // the kernel waits for the whole record
	}
	if m.fin {
		unix.Shutdown(int(r.peer), unix.SHUT_WR)
	}
	if kernelLenient[m.name] {
		return
	}
	want, errno := m.read, m.errno
	var got []byte
	for errno != sys.EAGAIN || len(got) < len(want) {
		b, e := r.receive(40_000)
		if e != 0 || len(b) == 0 {
			if !k.Rekey && strings.HasPrefix(r.layer.Problem(), "KeyUpdate, and the kernel") ||
				strings.HasPrefix(r.layer.Problem(), "KeyUpdate in pieces, which") {
				return
			}
			if e != errno {
				t.Errorf("%s, client %v: %v (%s); want %v (%s)", s.name, client, e, r.layer.Problem(), errno, m.problem)
			}
			break
		}
		got = append(got, b...)
	}
	if string(got) != want {
		t.Errorf("%s, client %v: read %d bytes; want %d", s.name, client, len(got), len(want))
	}
	if r.layer.Truncated(r.id) != m.truncated {
		t.Errorf("%s, client %v: truncated is %v", s.name, client, !m.truncated)
	}
	if errno == sys.EPROTO && r.layer.Problem() != m.problem {
		t.Errorf("%s, client %v: %q, want %q", s.name, client, r.layer.Problem(), m.problem)
	}
	if errno != sys.EBADMSG {
		return
	}
	if !strings.HasSuffix(r.layer.Problem(), "(alert sent)") {
		t.Errorf("%s, client %v: %q, want %q", s.name, client, r.layer.Problem(), m.problem)
	}
	for {
		typ, plain := r.next()
		if typ == typeAlert {
			t.Logf("%s: %s; alert %d, in the program %d", s.name, r.layer.Problem(), plain[1], m.alert)
			break
		}
	}
}
