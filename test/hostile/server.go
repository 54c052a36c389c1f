package hostile

import (
	_ "embed"
	"strings"
)

//go:embed server.conf
var serverConf string

//go:embed lane.conf
var laneConf string

// HTTP is the contents of an http block for a proxy that speaks nginx.conf: a plain
// reverse proxy with a server for each lane. listen and backend are the addresses of a
// lane, extra is put into each server.
func HTTP(lanes int, extra string, address func(lane int) (listen, backend string)) string {
	var text strings.Builder
	text.WriteString(serverConf)
	for i := range lanes {
		listen, backend := address(i)
		text.WriteString(strings.NewReplacer("LISTEN", listen, "BACKEND", backend, "LANE", "lane"+string(rune('a'+i)),
			"EXTRA", extra).Replace(laneConf))
	}
	return text.String()
}
