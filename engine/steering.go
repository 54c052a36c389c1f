package engine

import (
	"fmt"

	"holdfast/config"
	"holdfast/internal/steer"
	"holdfast/observe"
)

var steerPolicies = [...]steer.Policy{
	config.SteeringHash: steer.Hash, config.SteeringCPU: steer.CPU, config.SteeringLeast: steer.Least,
}

// steerListeners has new connections come to the shards as listen_steering says. What
// can't be steered stays with the kernel's hash, which is worth a warning and no more.
func (e *engine) steerListeners(shards int) {
	steering, err := steer.New(steerPolicies[e.cfg.Events.Steering], shards)
	if err != nil {
		e.warnSteering("", err)
		return
	}
	e.steering = steering
	for i, l := range e.cfg.HTTP.Listeners {
		if l.Addr.Unix != "" || l.Options.Shared {
			continue // dealt by acceptUnix; warned about when the configuration was read
		}
		sockets := make([]int32, shards)
		for shard := range sockets {
			sockets[shard] = e.sockets.tcp[shard][i]
		}
		if err := steering.Attach(sockets); err != nil {
			e.warnSteering(fmt.Sprintf("%s: listen %s: ", l.Position, l.Addr), err)
		}
	}
}

func (e *engine) warnSteering(where string, err error) {
	text := fmt.Sprintf("%slisten_steering %v can't be had, the kernel's hash chooses the shards: %v",
		where, e.cfg.Events.Steering, err)
	e.logger.Log(observe.LevelWarn, "%s", text)
	fmt.Fprintf(e.opt.Stderr, "holdfast: warning: %s\n", text)
}
