package main

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"text/template"

	"holdfast/bench/peers"
	"holdfast/test/port"
)

//go:embed conf/nginx.conf conf/haproxy.cfg
var configurations embed.FS

// modes are what bytes can be sent through.
var modes = []string{"ws", "wss", "stream", "stream-tls", "connect"}

// proxy is a running proxy.
type proxy struct {
	*peers.Running
	address string
}

// startProxy starts a proxy for one mode before an origin.
func startProxy(o options, mode, origin string) (*proxy, error) {
	if mode == "connect" && o.kind != peers.Holdfast {
		return nil, errors.New("it knows no CONNECT")
	}
	n, err := port.Free()
	if err != nil {
		return nil, err
	}
	_, originPort, _ := strings.Cut(origin, ":")
	values := map[string]any{
		"Address": fmt.Sprintf("127.0.0.1:%d", n), "Origin": origin, "OriginPort": originPort, "Mode": mode,
		"TLS": mode == "wss" || mode == "stream-tls", "Stream": strings.HasPrefix(mode, "stream"),
		"Kind": string(o.kind), "Root": os.Geteuid() == 0, "Module": "",
	}
	name := "nginx.conf" // holdfast speaks it
	switch o.kind {
	case peers.HAProxy:
		name = "haproxy.cfg"
	case peers.Nginx:
		values["Module"] = streamModule()
	}
	t, err := template.ParseFS(configurations, "conf/"+name)
	if err != nil {
		return nil, err
	}
	var text strings.Builder
	if err := t.Execute(&text, values); err != nil {
		return nil, err
	}
	files, err := peers.Certificate(peers.ECDSA)
	if err != nil {
		return nil, err
	}
	p := &proxy{address: values["Address"].(string)}
	p.Running, err = peers.Launch{
		Kind: o.kind, Binary: o.binary, Configuration: text.String(), Files: files, Ready: peers.Accepts(p.address),
	}.Start()
	return p, err
}

// streamModule is the file of nginx's stream module where it is one of its own; "" else.
func streamModule() string {
	path, err := peers.Path(peers.Nginx, "")
	if err != nil {
		return ""
	}
	said, _ := exec.Command(path, "-V").CombinedOutput()
	found := regexp.MustCompile(`--modules-path=(\S+)`).FindSubmatch(said)
	if found == nil {
		return ""
	}
	module := filepath.Join(string(found[1]), "ngx_stream_module.so")
	if _, err := os.Stat(module); err != nil {
		return ""
	}
	return module
}
