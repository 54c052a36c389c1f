package e2e_test

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"holdfast/test/pki"
	"holdfast/test/proc"
)

// reloadRounds and reloadTunnels are how often the configuration changes, and under how many
// tunnels; HOLDFAST_RELOADS overrides the former.
const (
	reloadRounds  = 200
	reloadTunnels = 500
)

// changing is one of several configurations that a proxy gets in turn. What /, /hash and the
// tunnels need is in all of them.
func changing(round int, v map[string]string) proc.Spec {
	var text strings.Builder
	servers := []string{"server {{a}};", "server {{a}}; server {{b}};", "server {{b}}; server {{c}} weight=2;"}[round%3]
	fmt.Fprintf(&text, "upstream changing { %s keepalive %d; }\n", servers, round%4)
	text.WriteString("upstream hashed { hash $arg_k consistent; server {{a}}; server {{b}}; server {{c}}; }\n" +
		"limit_req_zone $arg_k zone=z:1m rate=10000r/s; geo $g { default 1; 10.0.0.0/8 " + strconv.Itoa(round) + "; }\n")
	text.WriteString(`server { listen 127.0.0.1:{{port:front}}; access_log logs/access` + strconv.Itoa(round%2) + `.log;
		location / { proxy_pass http://changing; limit_req zone=z burst=1000 nodelay; }
		location /hash { proxy_pass http://hashed; proxy_http_version 1.1; }
		location /ws { proxy_pass http://{{echo}}; }
		location /other { access_log logs/access` + strconv.Itoa(1-round%2) + `.log; return 204; }
		location /round` + strconv.Itoa(round) + ` { return 200 $g; } }
	`)
	if round%2 == 1 {
		fmt.Fprintf(&text, "server { listen 127.0.0.1:{{port:second}}; access_log off; return 200 second; }\n"+
			"server { listen 127.0.0.1:{{port:tls}} ssl; access_log off; ssl_certificate {{dir}}/%d.pem; ssl_certificate_key {{dir}}/%d.key; return 200 tls; }\n",
			round%4/2, round%4/2)
	}
	return proc.Spec{HTTP: text.String(), Vars: v}
}

// loadUntil sends requests until stop is closed; failed gets what went wrong, once.
func loadUntil(stop <-chan struct{}, url string, keep bool, failed *atomic.Pointer[string]) (done int) {
	client := &http.Client{Timeout: proc.Patience, Transport: &http.Transport{DisableKeepAlives: !keep}}
	defer client.CloseIdleConnections()
	for ; ; done++ {
		select {
		case <-stop:
			return done
		default:
		}
		resp, err := client.Get(url)
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if err == nil && resp.StatusCode != 200 {
				err = fmt.Errorf("status %d", resp.StatusCode)
			}
		}
		if err != nil {
			text := fmt.Sprintf("request %d: %v", done, err)
			failed.CompareAndSwap(nil, &text)
			return done
		}
		if !keep {
			time.Sleep(time.Millisecond) // ports are finite
		}
	}
}

// No request fails and no tunnel ends while servers, upstreams, listeners and certificates come,
// change and go; who is chosen by a hash stays so.
func TestReloadUnderLoad(t *testing.T) {
	rounds := reloadRounds
	if n, err := strconv.Atoi(os.Getenv("HOLDFAST_RELOADS")); err == nil {
		rounds = n
	}
	keep := func(name string) proc.Behaviour {
		return func(x *proc.Exchange) {
			x.Keep = true
			x.Send("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n" + name)
		}
	}
	a, b, c := proc.NewBackend(t, keep("a")), proc.NewBackend(t, keep("b")), proc.NewBackend(t, keep("c"))
	v := vars("a", a.Addr, "b", b.Addr, "c", c.Addr, "echo", proc.NewBackend(t, proc.Echo()).Addr)
	p := holdfast(t, changing(0, v))
	authority := pki.NewAuthority(t, "root")
	for i := range 2 {
		authority.Issue(t, pki.Request{Hosts: []string{"a.test"}}).Write(t, p.Dir, strconv.Itoa(i))
	}
	chosen := func() (list string) {
		for k := range 40 {
			r := proc.Dial(t, p.Front())
			h := r.Send(get("/hash?k=" + strconv.Itoa(k))).Response(200)
			list += string(r.Body(h))
			r.Close()
		}
		return list
	}
	before := chosen()
	tunnels := make([]*proc.Raw, reloadTunnels)
	for i := range tunnels {
		tunnels[i] = proc.Dial(t, p.Front())
		tunnels[i].Handshake("a", "/ws")
	}
	stop := make(chan struct{})
	var failed atomic.Pointer[string]
	var load sync.WaitGroup
	var requests atomic.Int64
	end := sync.OnceFunc(func() {
		close(stop)
		load.Wait()
	})
	defer end()
	for i := range 4 {
		load.Go(func() { requests.Add(int64(loadUntil(stop, "http://"+p.Front()+"/", i > 0, &failed))) })
	}
	for round := 1; round <= rounds && failed.Load() == nil; round++ {
		p.Reload(t, changing(round, v))
		tunnels[round%len(tunnels)].EchoText("still here")
		if round%2 == 1 {
			serves(t, p, round%4/2)
		}
	}
	end()
	if text := failed.Load(); text != nil {
		t.Error(*text)
	}
	equal(t, "choices of the hash", chosen(), before)
	for _, k := range tunnels {
		k.EchoText("until the end")
		k.Close()
	}
	if status := p.Status(t); status.Configuration.Reloads != rounds {
		t.Errorf("%d reloads", status.Configuration.Reloads)
	}
	t.Logf("%d requests in %d reloads", requests.Load(), rounds)
	p.Reload(t, changing(0, v)) // so that the listeners are those of the start
}

// serves proves that the listeners of odd rounds are there.
func serves(t *testing.T, p *proc.Proxy, pair int) {
	t.Helper()
	r := proc.Dial(t, p.Addr("second"))
	equal(t, "the second listener", string(r.Body(r.Send(get("/")).Response(200))), "second")
	r.Close()
	conn, err := tls.Dial("tcp", p.Addr("tls"), &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	leaf := conn.ConnectionState().PeerCertificates[0]
	file, err := tls.LoadX509KeyPair(fmt.Sprintf("%s/%d.pem", p.Dir, pair), fmt.Sprintf("%s/%d.key", p.Dir, pair))
	if err != nil {
		t.Fatal(err)
	}
	if !leaf.Equal(file.Leaf) {
		t.Error("another certificate than configured")
	}
}

// `holdfast -s reload` waits for the new configuration, and tells on its own terminal what is
// wrong with it.
func TestReloadCommand(t *testing.T) {
	spec := func(body string) proc.Spec {
		return proc.Spec{HTTP: "server { listen 127.0.0.1:{{port:front}}; " + body + " }"}
	}
	p := holdfast(t, spec("return 200 one;"))
	answer := func() string {
		r := proc.Dial(t, p.Front())
		defer r.Close()
		return string(r.Body(r.Send(get("/")).Response(200)))
	}
	p.Configure(t, spec("return 200 two;"))
	out, code := p.Tell(t, "reload")
	if code != 0 || !strings.Contains(out, "generation 2") || answer() != "two" {
		t.Errorf("code %d, answer %q: %s", code, answer(), out)
	}
	p.Configure(t, spec("retrun 200 three;"))
	out, code = p.Tell(t, "reload")
	if code != 1 || !strings.Contains(out, `"retrun"`) || !strings.Contains(out, "nothing was changed") || answer() != "two" {
		t.Errorf("code %d, answer %q: %s", code, answer(), out)
	}
	p.Configure(t, spec("listen 192.0.2.1:7; return 200 three;")) // only the running process finds out
	out, code = p.Tell(t, "reload")
	if code != 1 || !strings.Contains(out, "no interface of this machine") || answer() != "two" {
		t.Errorf("code %d, answer %q: %s", code, answer(), out)
	}
	equal(t, "generation", p.Status(t).Configuration.Generation, 2)
}
