package engine

import (
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"holdfast/admin"
	"holdfast/config"
	"holdfast/internal/steer"
	"holdfast/internal/sys"
	"holdfast/observe"
)

// A steered proxy answers on addresses of every kind, and ends without a word.
func TestSteeredListenersAnswer(t *testing.T) {
	for _, steering := range []string{"cpu", "least"} {
		t.Run(steering, func(t *testing.T) {
			shared := freeAddress(t).String()
			c := launch(t, worldDir(t), "worker_processes 3;\npid DIR/holdfast.pid;\nerror_log DIR/error.log notice;\n"+
				"events { worker_connections 64; listen_steering "+steering+"; }\nhttp { access_log off; server { listen FRONT; "+
				"listen "+shared+" shared; listen unix:DIR/front.sock; location / { return 200 hi; } } }")
			until(t, "the pid file", func() bool { return read(c.dir+"/holdfast.pid") != "" })
			for range 20 {
				for _, at := range [][2]string{{"tcp", c.front}, {"tcp", shared}, {"unix", c.dir + "/front.sock"}} {
					if status, _ := c.get(t, at[0], at[1], "/"); status != 200 {
						t.Fatalf("%v: status %d", at, status)
					}
				}
			}
			if steering == "cpu" && strings.Contains(c.stderr.String(), "can't be had") {
				t.Errorf("stderr: %s", c.stderr)
			}
			c.signal(t, syscall.SIGQUIT)
			c.end(t, 0)
		})
	}
}

// nowhere is a log that nobody reads.
type nowhere struct{}

func (nowhere) Swap(full []byte) []byte { return full[:0] }

// bound is an engine that has its sockets and nothing else yet; stderr is what it says.
func bound(t *testing.T, steering string, listen ...string) (e *engine, stderr *output) {
	t.Helper()
	cfg := load(t, "events { listen_steering "+steering+"; }\nhttp { server { listen "+
		strings.Join(listen, ";\nlisten ")+"; return 204; } }")
	stderr = &output{}
	e = &engine{opt: Options{Stderr: stderr}, cfg: cfg, logger: &processLog{}}
	e.logger.now.Store(admin.NewLogger(nowhere{}, observe.LevelWarn))
	var err error
	e.sockets, err = openSockets(cfg.HTTP.Listeners, 2, false)
	must(t, err)
	t.Cleanup(e.sockets.close)
	return e, stderr
}

// Without the privileges there is a warning with the reason, and no more.
func TestSteeringWithoutPrivileges(t *testing.T) {
	e, stderr := bound(t, "least", freeAddress(t).String())
	runtime.LockOSThread() // for good: the thread without capabilities ends with the test
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	if err := unix.Capset(&header, &none[0]); err != nil {
		t.Skip("capabilities can't be dropped here:", err)
	}
	e.steerListeners(2)
	e.steering.Close()
	want := "holdfast: warning: "
	if e.steering != nil {
		want += "nginx.conf:2: listen " + e.cfg.HTTP.Listeners[0].Addr.String() + ": "
	}
	want += "listen_steering least can't be had, the kernel's hash chooses the shards: "
	if !strings.Contains(stderr.String(), want) {
		t.Errorf("stderr does not say %q: %s", want, stderr)
	}
}

// A shared address and a unix socket are left alone: no other listener suffers for them.
func TestSteeringLeavesSharedAddressesAlone(t *testing.T) {
	e, stderr := bound(t, "cpu", freeAddress(t).String()+" shared", "unix:"+t.TempDir()+"/s", freeAddress(t).String())
	e.steerListeners(2)
	defer e.steering.Close()
	if strings.Contains(stderr.String(), unix.ENOPROTOOPT.Error()) {
		t.Skip("reuseport groups take no programs here, as in an emulator:", stderr)
	}
	if stderr.String() != "" {
		t.Errorf("stderr: %s", stderr)
	}
	// Another process's socket on the shared address takes what the hash gives it.
	other, err := openSockets(e.cfg.HTTP.Listeners[:1], 1, false)
	must(t, err)
	defer other.close()
	for range 500 {
		dial(t, e.cfg.HTTP.Listeners[0].Addr.String()).Close()
		if fd, _, errno := sys.Accept(other.tcp[0][0]); errno == 0 {
			sys.Close(fd)
			return
		}
	}
	t.Error("the other process gets none of 500 connections")
}

// Each value of the directive has its policy.
func TestSteerPolicies(t *testing.T) {
	for steering, want := range map[config.Steering]steer.Policy{
		config.SteeringHash: steer.Hash, config.SteeringCPU: steer.CPU, config.SteeringLeast: steer.Least,
	} {
		if got := steerPolicies[steering]; got != want {
			t.Errorf("%v is %v", steering, got)
		}
	}
}
