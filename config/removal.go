package config

import (
	"strings"
	"time"
)

// TunnelPolicy says what becomes of the tunnels to a server that its upstream block has no
// longer.
type TunnelPolicy uint8

// The policies.
const (
	KeepTunnels  TunnelPolicy = iota // they live on
	DrainTunnels                     // they end, spread over a time
	CloseTunnels                     // they end at once
)

// removalDirectives are the rows about servers that leave a group.
func removalDirectives() []Directive {
	return []Directive{{
		Name: "tunnels", Contexts: CtxUpstream | CtxStreamUpstream, Args: "keep | drain time | close", Default: "keep",
		Doc: "What becomes of tunnels to a server whose address a name has no longer (resolve): they live on, end " +
			"one after the other within the time, or end at once.",
		Deviation: "Not in nginx, which keeps them.",
		min:       1, max: 2, read: readTunnels,
	}}
}

func readTunnels(l *level, n *node) {
	const hint = "write keep, close or drain TIME"
	word := strings.ToLower(n.args[0])
	if len(n.args) != 1 && word != "drain" {
		l.add(Error, n.Position, hint, "invalid number of arguments in %q directive", n.name)
		return
	}
	switch word {
	case "keep":
		l.upstream.Tunnels = KeepTunnels
	case "close":
		l.upstream.Tunnels = CloseTunnels
	case "drain":
		if len(n.args) != 2 {
			l.add(Error, n.Position, "write: tunnels drain TIME;", "invalid number of arguments in %q directive", n.name)
			return
		}
		d, ok := parseTime(n.args[1])
		if !ok || d == 0 || d > drainMax {
			l.invalid(n, n.args[1], "write a time of up to 7d, such as 10m")
			return
		}
		l.upstream.Tunnels, l.upstream.DrainTime = DrainTunnels, d
	default:
		l.invalid(n, n.args[0], hint)
	}
}

// drainMax bounds the time of tunnels drain.
const drainMax = 7 * 24 * time.Hour
