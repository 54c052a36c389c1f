package main

import (
	_ "embed"
	"fmt"
	"strings"
	"text/template"

	"holdfast/bench/peers"
	"holdfast/test/port"
)

//go:embed haproxy.cfg
var haproxyConfiguration string

// proxy is a running proxy that can reload.
type proxy struct {
	kind    peers.Kind
	address string
	pid     int // of the master
	stop    func()
}

// start starts a proxy in front of a backend.
func start(kind peers.Kind, o options, backend string) (*proxy, error) {
	room := 2*o.tunnels + 500 // old and new ones
	if kind == peers.HAProxy {
		return startHAProxy(room, backend)
	}
	p, err := peers.Start(kind, peers.Options{Backends: []string{backend}, Tunnels: room})
	if err != nil {
		return nil, err
	}
	return &proxy{kind: kind, address: p.Address, pid: p.PID(), stop: p.Stop}, nil
}

// startHAProxy starts HAProxy in master-worker mode, the one that can reload.
func startHAProxy(room int, backend string) (*proxy, error) {
	front, err := port.Free()
	if err != nil {
		return nil, err
	}
	p := &proxy{kind: peers.HAProxy, address: fmt.Sprintf("127.0.0.1:%d", front)}
	var text strings.Builder
	err = template.Must(template.New("").Parse(haproxyConfiguration)).Execute(&text, map[string]any{
		"Address": p.address, "Tunnels": room, "Backends": []string{backend},
	})
	if err != nil {
		return nil, err
	}
	running, err := peers.Launch{
		Kind: peers.HAProxy, Configuration: text.String(), Master: true, Ready: peers.Accepts(p.address),
	}.Start()
	if err != nil {
		return nil, err
	}
	p.pid, p.stop = running.PID(), running.Stop
	return p, nil
}
