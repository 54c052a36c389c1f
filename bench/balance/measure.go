package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"

	"holdfast/bench/hold/holder"
	"holdfast/bench/peers"
	"holdfast/test/port"
	"holdfast/test/proc"
	"holdfast/test/wire"
)

const (
	holdfastMain = "admin ADMIN;\nevents { worker_connections 20000; listen_steering least; }\n"
	nginxMain    = "daemon off;\nUSERevents { worker_connections 19000; }\n"
	// configuration is that of both: in a zone nginx's workers know of each other's tunnels.
	configuration = `worker_processes SHARDS;
pid proxy.pid;
error_log logs/error.log warn;
MAIN
http {
    access_log off;
    upstream backend { zone backend 1m; METHOD SERVERS }
    server {
        listen FRONT backlog=4096;
        location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection upgrade; proxy_read_timeout 10m; }
    }
}
`
)

// measurement is one round: the tunnels of each backend.
type measurement struct {
	tunnels  int
	opened   []int // when all are open
	replaced []int // when half of them closed and as many came
}

func measure(o options, c contender, method string) (m measurement, err error) {
	var backends []*wire.EchoServer
	var servers strings.Builder
	for range o.backends {
		b, err := wire.ListenEcho("127.0.0.1:0")
		if err != nil {
			return m, err
		}
		defer b.Close()
		backends = append(backends, b)
		fmt.Fprintf(&servers, "server %s; ", b.Addr())
	}
	proxy, front, most, err := start(o, c, method, servers.String())
	if err != nil {
		return m, err
	}
	defer proxy.Stop()
	m.tunnels = min(o.tunnels, most)
	all, err := startClients(o.clients, m.tunnels, front)
	defer all.stop()
	if err != nil {
		return m, err
	}
	var some crew
	for i := 0; i < len(all); i += 2 {
		some = append(some, all[i])
	}
	if err := all.ask("open"); err != nil {
		return m, err
	}
	if m.opened, err = counts(backends, m.tunnels); err != nil {
		return m, err
	}
	left := m.tunnels
	for i := 0; i < len(all); i += 2 {
		left -= all[i].tunnels
	}
	if err := some.ask("close"); err != nil {
		return m, err
	}
	if _, err := counts(backends, left); err != nil {
		return m, err
	}
	if err := some.ask("open"); err != nil {
		return m, err
	}
	m.replaced, err = counts(backends, m.tunnels)
	return m, err
}

// counts waits until the backends have that many tunnels together.
func counts(backends []*wire.EchoServer, want int) (each []int, err error) {
	err = proc.Poll(proc.Patience, func() error {
		each = each[:0]
		sum := 0
		for _, b := range backends {
			each = append(each, b.Connections())
			sum += b.Connections()
		}
		if sum != want {
			return fmt.Errorf("%d tunnels at the backends, want %d", sum, want)
		}
		return nil
	})
	return each, err
}

// balance is the largest count by the mean.
func balance(counts []int) float64 {
	sum := 0
	for _, n := range counts {
		sum += n
	}
	_, most := extremes(counts)
	return float64(most) * float64(len(counts)) / float64(max(sum, 1))
}

// extremes are the smallest and the largest count.
func extremes(counts []int) (low, high int) {
	low = counts[0]
	for _, n := range counts {
		low, high = min(low, n), max(high, n)
	}
	return low, high
}

// start starts a proxy and returns its address and how many tunnels it may be given.
func start(o options, c contender, method, servers string) (r *peers.Running, address string, most int, err error) {
	front, err1 := port.Free()
	admin, err2 := port.Free()
	if err := errors.Join(err1, err2); err != nil {
		return nil, "", 0, err
	}
	main, user := holdfastMain, ""
	if os.Geteuid() == 0 {
		user = "user root;\n"
	}
	if c.kind == peers.Nginx {
		main = nginxMain
	}
	address, status := fmt.Sprintf("127.0.0.1:%d", front), fmt.Sprintf("127.0.0.1:%d", admin)
	text := strings.NewReplacer("MAIN", strings.NewReplacer("ADMIN", status, "USER", user).Replace(main),
		"SHARDS", strconv.Itoa(c.shards), "METHOD", method, "SERVERS", servers, "FRONT", address).Replace(configuration)
	r, err = peers.Launch{Kind: c.kind, Binary: o.binary, Configuration: text, Ready: peers.Accepts(address)}.Start()
	if err != nil || c.kind != peers.Holdfast {
		return r, address, o.tunnels, err
	}
	if most, err = roomOf(status); err != nil {
		r.Stop()
	}
	return r, address, most, err
}

// roomOf is how many tunnels a holdfast may be given: its limit of sessions is that of all shards,
// and some are left free, since the shards do not fill evenly.
func roomOf(admin string) (int, error) {
	var status struct {
		SessionsMax int `json:"sessions_max"`
	}
	err := proc.Poll(proc.Patience, func() error {
		resp, err := http.Get("http://" + admin + "/status")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		return json.NewDecoder(resp.Body).Decode(&status)
	})
	return status.SessionsMax * 97 / 100, err
}

// playClient is the whole life of a client process: it obeys open and close, and ends with its
// input.
func playClient(address string, first, tunnels int) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return err
	}
	client := holder.NewClient(holder.Options{Targets: []netip.AddrPort{target}, Path: "/", First: first})
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		err := error(nil)
		if lines.Text() == "open" {
			_, err = client.Open(tunnels, func(int) {})
		} else {
			client.Close()
		}
		if err != nil {
			fmt.Println(err)
		} else {
			fmt.Println("done")
		}
	}
	return nil
}

// worker is the parent's end of a client process.
type worker struct {
	cmd     *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Scanner
	tunnels int
}

// crew is a set of workers asked alike.
type crew []*worker

func startClients(processes, tunnels int, address string) (c crew, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	for i := range processes {
		first, end := tunnels*i/processes, tunnels*(i+1)/processes
		w := &worker{tunnels: end - first, cmd: exec.Command(self, "-role", "client", "-at", address,
			"-first", strconv.Itoa(first), "-n", strconv.Itoa(end-first))}
		w.cmd.Stderr = os.Stderr
		w.cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
		w.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
		in, err1 := w.cmd.StdinPipe()
		out, err2 := w.cmd.StdoutPipe()
		if err := errors.Join(err1, err2); err != nil {
			return c, err
		}
		if err := w.cmd.Start(); err != nil {
			return c, err
		}
		w.in, w.out = in, bufio.NewScanner(out)
		c = append(c, w)
	}
	return c, nil
}

// ask sends all of them one command at the same time and waits for their answers.
func (c crew) ask(command string) error {
	errs := make(chan error, len(c))
	for _, w := range c {
		go func() {
			_, err := io.WriteString(w.in, command+"\n")
			if err == nil && !w.out.Scan() {
				err = errors.New("a client process has ended")
			}
			if err == nil && w.out.Text() != "done" {
				err = errors.New(w.out.Text())
			}
			errs <- err
		}()
	}
	var all error
	for range c {
		all = errors.Join(all, <-errs)
	}
	return all
}

// stop ends the workers.
func (c crew) stop() {
	for _, w := range c {
		w.in.Close()
	}
	for _, w := range c {
		_ = w.cmd.Wait()
	}
}
