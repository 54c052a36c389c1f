package upstream_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/test/port"
	"holdfast/upstream"
)

// peerDeadline bounds everything that waits for another process.
const peerDeadline = 30 * time.Second

// nginxCase is an upstream block for nginx, and the same for a Group.
type nginxCase struct {
	name    string
	method  string
	balance upstream.Balance
	servers []upstream.ServerSpec
	// closed are servers that nobody listens at: the request goes on to another one.
	closed map[string]bool
}

// TestChoicesAreThoseOfNginx sends 2,000 keys, or clients' addresses, through nginx's methods
// and compares which backend each came to.
func TestChoicesAreThoseOfNginx(t *testing.T) {
	open, shut := port.Take(t), port.Take(t)
	servers := func(n int, change func(i int, s *upstream.ServerSpec)) []upstream.ServerSpec {
		list := make([]upstream.ServerSpec, n)
		for i := range list {
			addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, byte(2 + i)}), uint16(open))
			list[i] = upstream.ServerSpec{Addr: addr, Weight: 1, FailTimeoutMs: 10_000}
			if change != nil {
				change(i, &list[i])
			}
			list[i].Name = list[i].Addr.String()
		}
		return list
	}
	weights := func(i int, s *upstream.ServerSpec) { s.Weight = 1 + i*i%7 }
	down := func(i int, s *upstream.ServerSpec) { weights(i, s); s.Down = i == 2 || i == 5 }
	closed := map[string]bool{}
	shutting := func(i int, s *upstream.ServerSpec) {
		weights(i, s)
		if i%3 == 1 {
			s.Addr = netip.AddrPortFrom(s.Addr.Addr(), uint16(shut))
			closed[s.Addr.String()] = true
		}
	}
	var cases []nginxCase
	for _, m := range []struct {
		method  string
		balance upstream.Method
	}{{"hash $arg_k consistent", upstream.ConsistentHash}, {"hash $arg_k", upstream.Hash}, {"ip_hash", upstream.IPHash}} {
		b := upstream.Balance{Method: m.balance}
		cases = append(cases, nginxCase{"equal", m.method, b, servers(10, nil), nil},
			nginxCase{"weights", m.method, b, servers(10, weights), nil},
			nginxCase{"down", m.method, b, servers(10, down), nil},
			nginxCase{"closed", m.method, b, servers(10, shutting), closed},
			nginxCase{"most are down", m.method, b, servers(4, func(i int, s *upstream.ServerSpec) { s.Down = i < 2 }), nil},
		)
	}
	front := startNginx(t, open, cases)
	for number, c := range cases {
		t.Run(c.method+", "+c.name, func(t *testing.T) { compareChoices(t, front, number, c) })
	}
}

func compareChoices(t *testing.T, front string, number int, c nginxCase) {
	const count = 2000
	random := rand.New(rand.NewPCG(1, uint64(number)))
	keys, clients := make([]string, count), make([]netip.Addr, count)
	for i := range keys {
		keys[i] = strings.Repeat("x", random.IntN(40)) + strconv.Itoa(random.IntN(1_000_000))
		var octets [16]byte
		for j := range octets {
			octets[j] = byte(random.Uint32())
		}
		clients[i] = netip.AddrFrom4([4]byte(octets[:4]))
		if i%4 == 0 {
			clients[i] = netip.AddrFrom16(octets)
		}
	}
	got := askNginx(t, front, number, keys, clients)
	g, err := upstream.NewGroup(upstream.NewRegistry(), upstream.GroupSpec{
		Name: "u", Servers: c.servers, Balance: c.balance,
	})
	if err != nil {
		t.Fatal(err)
	}
	different := 0
	for i, key := range keys {
		choice := upstream.Choice{Key: upstream.HashKey([]byte(key))}
		if g.Wants() == upstream.WantsAddress {
			choice.Key = upstream.AddressKey(clients[i])
		}
		p := g.Pick(&choice, 1000)
		for p != nil && c.closed[p.Name] {
			p = g.Pick(&choice, 1000)
		}
		if name(p) != got[i] {
			if different++; different < 5 {
				t.Errorf("key %q, client %s: %s, nginx has %s", key, clients[i], name(p), got[i])
			}
		}
	}
	if different > 0 {
		t.Errorf("%d of %d choices differ", different, count)
	}
}

// askNginx returns the backend that nginx sent each request to.
func askNginx(t *testing.T, front string, number int, keys []string, clients []netip.Addr) []string {
	t.Helper()
	conn, err := net.Dial("unix", front)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(peerDeadline))
	go func() {
		w := bufio.NewWriter(conn)
		for i, key := range keys {
			fmt.Fprintf(w, "GET /%d?k=%s HTTP/1.1\r\nHost: a\r\nX-Real-IP: %s\r\n\r\n", number, key, clients[i])
		}
		_ = w.Flush()
	}()
	in := bufio.NewReader(conn)
	names := make([]string, len(keys))
	for i := range names {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("status %d, %v", resp.StatusCode, err)
		}
		names[i] = string(body)
	}
	return names
}

// startNginx runs the installed nginx with the cases as locations and all their backends, and
// returns the path of its socket.
func startNginx(t *testing.T, open int, cases []nginxCase) string {
	t.Helper()
	bin, err := exec.LookPath("nginx")
	if err != nil {
		if os.Getenv("HOLDFAST_REQUIRE_PEERS") == "1" {
			t.Fatal("nginx is not installed, but HOLDFAST_REQUIRE_PEERS=1")
		}
		t.Skip("nginx is not installed")
	}
	dir, err := os.MkdirTemp("", "hf")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	var text, locations strings.Builder
	text.WriteString("daemon off; master_process off; pid DIR/pid; error_log DIR/error.log crit; events {}\n" +
		"http { access_log off; client_body_temp_path DIR/c; proxy_temp_path DIR/p; fastcgi_temp_path DIR/f;\n" +
		"uwsgi_temp_path DIR/u; scgi_temp_path DIR/s; keepalive_requests 100000; set_real_ip_from unix:;\n")
	for i, c := range cases {
		fmt.Fprintf(&text, "upstream u%d {\n%s;\n", i, c.method)
		for _, s := range c.servers {
			fmt.Fprintf(&text, "server %s weight=%d max_fails=0%s;\n", s.Name, s.Weight, map[bool]string{true: " down"}[s.Down])
		}
		text.WriteString("}\n")
		fmt.Fprintf(&locations, "location = /%d { proxy_pass http://u%d; }\n", i, i)
	}
	fmt.Fprintf(&text, "server { listen %d; return 200 $server_addr:$server_port; }\n", open)
	fmt.Fprintf(&text, "server { listen unix:DIR/front;\n%s}\n}\n", locations.String())
	conf := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(conf, []byte(strings.ReplaceAll(text.String(), "DIR", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	cmd := exec.Command(bin, "-e", filepath.Join(dir, "error.log"), "-p", dir, "-c", conf)
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
	})
	front := filepath.Join(dir, "front")
	for deadline := time.After(peerDeadline); ; {
		if conn, err := net.Dial("unix", front); err == nil {
			conn.Close()
			return front
		}
		select {
		case <-exited:
			t.Fatalf("nginx did not start: %s", output.String())
		case <-deadline:
			t.Fatalf("nginx does not listen: %s", output.String())
		case <-time.After(5 * time.Millisecond):
		}
	}
}
