package config_test

import (
	"testing"

	"holdfast/config"
)

func TestListenSteering(t *testing.T) {
	if cfg := mustLoad(t, "events { }"); cfg.Events.Steering != config.SteeringHash {
		t.Errorf("the default is %v", cfg.Events.Steering)
	}
	for name, want := range map[string]config.Steering{
		"hash": config.SteeringHash, "cpu": config.SteeringCPU, "least": config.SteeringLeast,
	} {
		cfg := mustLoad(t, "events { listen_steering "+name+"; }")
		if cfg.Events.Steering != want || want.String() != name {
			t.Errorf("%s is read as %v", name, cfg.Events.Steering)
		}
	}
}

// Addresses that are shared with other processes can't be steered, which a check says.
func TestListenSteeringProblems(t *testing.T) {
	const shared = "\nhttp {\nserver { listen 80; listen 81 shared; return 204; }\n}"
	for _, tc := range []struct{ conf, want string }{
		{"events { listen_steering random; }", `/etc/h/nginx.conf:1: error: invalid value "random" in "listen_steering" directive; ` +
			`write hash, cpu or least`},
		{"listen_steering least;", `/etc/h/nginx.conf:1: error: "listen_steering" directive is not allowed here; its place is: events`},
		{"events { listen_steering least; }" + shared, `/etc/h/nginx.conf:3: warning: "listen_steering least" has no effect on ` +
			`0.0.0.0:81, which is shared with other processes: the kernel's hash chooses; ` +
			`remove "shared" if no other process listens there, or write: listen_steering hash;`},
		{"events { listen_steering hash; }" + shared, ""},
	} {
		_, problems := config.LoadText("/etc/h/nginx.conf", tc.conf, hermetic(nil))
		got := ""
		for _, p := range problems {
			got += p.String()
		}
		if got != tc.want {
			t.Errorf("%q:\n got %s\nwant %s", tc.conf, got, tc.want)
		}
	}
}
