// Package demo is holdfast to try in a browser: an embedded configuration, a
// WebSocket echo backend, a page, and a client that opens thousands of idle
// tunnels. Everything the page does goes through a proxy that package demo is
// given a function to start; it knows nothing else of the product.
package demo

import (
	"context"
	_ "embed" // the configuration
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Where the demo listens unless told otherwise.
const (
	DefaultListen = "127.0.0.1:8080"
	DefaultAdmin  = "127.0.0.1:9180"
)

// Proxy is a running proxy.
type Proxy struct {
	PID  int          // the proxy's process, whose memory the page shows; 0: do not
	Done <-chan error // gives one value when the proxy ends by itself
	Stop func()       // ends the proxy and returns when it has ended
}

// Options say how the demo runs.
type Options struct {
	// Listen and Admin are the proxy's address and that of its admin listener;
	// empty means DefaultListen and DefaultAdmin. If a port is taken, the next free
	// one above it is used; port 0 leaves the choice to the kernel.
	Listen, Admin string
	// Start starts a proxy with the given nginx.conf and returns once it listens.
	Start func(ctx context.Context, configText string) (*Proxy, error)
	// Out gets the line with the page's address.
	Out io.Writer
}

//go:embed demo.conf
var configTemplate string

// Run serves the demo until ctx ends or the proxy does. It returns nil after ctx
// ended, and what went wrong otherwise.
func Run(ctx context.Context, opt Options) error {
	listen, err := freeAddress(opt.Listen, DefaultListen)
	if err != nil {
		return err
	}
	admin, err := freeAddress(opt.Admin, DefaultAdmin)
	if err != nil {
		return err
	}
	backend, echoAddress, err := startEcho()
	if err != nil {
		return err
	}
	defer backend.stop()
	pages, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("page backend: %w", err)
	}
	defer pages.Close()

	text := strings.NewReplacer("{listen}", listen, "{admin}", admin,
		"{page}", pages.Addr().String(), "{echo}", echoAddress).Replace(configTemplate)
	proxy, err := opt.Start(ctx, text)
	if err != nil {
		return err
	}
	defer proxy.Stop()

	tunnels := newFleet(listen)
	defer tunnels.closeAll()
	served := &pageServer{fleet: tunnels, monitor: newMonitor(admin, proxy.PID), config: text}
	server := served.server()
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(pages) }()
	defer shutdown(server)

	fmt.Fprintf(opt.Out, "holdfast demo: http://%s/   (status and metrics: http://%s/)\n", listen, admin)
	select {
	case <-ctx.Done():
		return nil
	case err := <-proxy.Done:
		if err == nil {
			err = errors.New("it stopped")
		}
		return fmt.Errorf("the proxy ended: %w", err)
	case err := <-failed:
		return fmt.Errorf("page backend: %w", err)
	}
}

func shutdown(server *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = server.Shutdown(ctx)
}

// portTries is how many ports above a taken one are tried.
const portTries = 100

// freeAddress returns address, or fallback if it is empty, with the first port at
// or above its own that nobody listens on.
func freeAddress(address, fallback string) (string, error) {
	if address == "" {
		address = fallback
	}
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("%q is not an address; write it as %s", address, fallback)
	}
	first, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return "", fmt.Errorf("%q is not a port; write the address as %s", portText, fallback)
	}
	for port := int(first); port < min(int(first)+portTries, 1<<16); port++ {
		var listener net.Listener
		listener, err = net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
		if err == nil {
			defer listener.Close()
			return listener.Addr().String(), nil
		}
	}
	return "", fmt.Errorf("no free port at or above %s: %w", address, err)
}
