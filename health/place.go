package health

import (
	"fmt"

	"holdfast/upstream"
)

// place is the end of a log line: which check of which server, in nginx's words.
type place struct {
	check *Check
	peer  *upstream.Peer
}

// String is the text.
func (p place) String() string {
	text := fmt.Sprintf("health check %q of peer %s in upstream %q", p.check.Match, p.peer.Name, p.check.Upstream)
	if p.check.Port != 0 {
		text += fmt.Sprintf(", port %d", p.check.Port)
	}
	return text
}
