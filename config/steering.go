package config

// Steering is how the shard that gets a new connection is chosen.
type Steering uint8

// The values of listen_steering.
const (
	SteeringHash  Steering = iota // by the kernel's hash of addresses and ports
	SteeringCPU                   // by the CPU that handles the SYN
	SteeringLeast                 // the one with the fewest sessions
)

var steeringNames = [...]string{"hash", "cpu", "least"}

// String is the value as it is written.
func (s Steering) String() string { return steeringNames[s] }

func readListenSteering(l *level, n *node) {
	for s, name := range steeringNames {
		if n.args[0] == name {
			l.cfg.Events.Steering = Steering(s)
			return
		}
	}
	l.invalid(n, n.args[0], "write hash, cpu or least")
}

// checkSteering warns about addresses whose connections can't be steered: a program
// would choose for the other processes on the address too, and knows nothing of them.
func (l *loader) checkSteering() {
	steering := l.cfg.Events.Steering
	if steering == SteeringHash {
		return
	}
	for _, li := range l.cfg.HTTP.Listeners {
		if li.Options.Shared {
			l.add(Warning, li.Position, `remove "shared" if no other process listens there, or write: listen_steering hash;`,
				`"listen_steering %v" has no effect on %s, which is shared with other processes: the kernel's hash chooses`,
				steering, li.Addr)
		}
	}
}
