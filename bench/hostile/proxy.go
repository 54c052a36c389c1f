package main

import (
	"embed"
	"fmt"
	"os"
	"strings"
	"text/template"

	"holdfast/bench/peers"
	"holdfast/test/hostile"
	"holdfast/test/port"
)

//go:embed nginx.conf haproxy.cfg
var templates embed.FS

// start starts a proxy before the lanes' backends and fills in the lanes' fronts.
func start(kind peers.Kind, binary string, all []hostile.Lane) (*peers.Running, error) {
	text, err := configure(kind, all)
	if err != nil {
		return nil, err
	}
	return peers.Launch{
		Kind: kind, Binary: binary, Configuration: text, Ready: peers.Accepts(all[len(all)-1].Front),
	}.Start()
}

// configure makes the configuration and chooses the fronts.
func configure(kind peers.Kind, all []hostile.Lane) (string, error) {
	for i := range all {
		n, err := port.Free()
		if err != nil {
			return "", err
		}
		all[i].Front = fmt.Sprintf("127.0.0.1:%d", n)
	}
	name := "nginx.conf" // holdfast speaks it
	if kind == peers.HAProxy {
		name = "haproxy.cfg"
	}
	t, err := template.ParseFS(templates, name)
	if err != nil {
		return "", err
	}
	var text strings.Builder
	err = t.Execute(&text, map[string]any{
		"Kind": string(kind), "Root": os.Geteuid() == 0, "Lanes": all,
		"HTTP": hostile.HTTP(len(all), "", func(i int) (listen, backend string) {
			return all[i].Front, all[i].Backend.Addr
		}),
	})
	return text.String(), err
}
