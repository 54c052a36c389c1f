package e2e_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"holdfast/test/port"
	"holdfast/test/proc"
)

// ends waits for the end of a connection that carries nothing.
func ends(t *testing.T, c *proc.Raw) {
	t.Helper()
	if err := c.Err(); err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
	all, err := io.ReadAll(c.Reader())
	if len(all) != 0 || gone(err) != nil {
		t.Errorf("got %q, %v", all, err)
	}
	c.Close()
}

// deafAddress is where nobody answers: the kernel drops what asks for a connection, since
// there is no room for it.
func deafAddress(t *testing.T) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	at := &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}
	if err := errors.Join(syscall.Bind(fd, at), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	bound, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	at.Port = bound.(*syscall.SockaddrInet4).Port
	for range 4 { // one fills the queue; the others wait with the proxy
		c, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC|syscall.SOCK_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = syscall.Close(c) })
		if err := syscall.Connect(c, at); err != nil && !errors.Is(err, syscall.EINPROGRESS) {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("127.0.0.1:%d", at.Port)
}

func TestStreamNextUpstream(t *testing.T) {
	b := serveRaw(t, sayRaw("here"))
	const block = `
    log_format f "$upstream_addr|$status";
    upstream some { server {{refuses}} max_fails=0; server {{backend}} max_fails=0; }
    upstream none { server {{refuses}} max_fails=0; server {{refuses2}} max_fails=0; }
    server { listen 127.0.0.1:{{port:front}}; proxy_pass some; }
    server { listen 127.0.0.1:{{port:off}}; proxy_pass some; proxy_next_upstream off; }
    server { listen 127.0.0.1:{{port:once}}; proxy_pass none; proxy_next_upstream_tries 1; access_log logs/once.log f; }
    server { listen 127.0.0.1:{{port:none}}; proxy_pass none; access_log logs/none.log f; }`
	refuses, refuses2 := port.Address(t), port.Address(t)
	v := vars("backend", b.addr, "refuses", refuses, "refuses2", refuses2)
	bothStreams(t, block, v, func(t *testing.T, p *proc.Proxy) {
		for range 4 {
			c := proc.Dial(t, p.Front())
			c.Expect("here")
			c.Close()
		}
		reached := 0
		for range 8 {
			c := proc.Try(p.Addr("off"))
			if c.Expect("here"); c.Err() == nil {
				reached++
			}
			c.Close()
		}
		if reached == 0 || reached == 8 {
			t.Errorf("without another try %d of 8 sessions reached the server", reached)
		}
		ends(t, proc.Dial(t, p.Addr("once")))
		if line := logged(t, p, "once.log", 1)[0]; line != refuses+"|502" && line != refuses2+"|502" {
			t.Errorf("log line %q", line)
		}
		ends(t, proc.Dial(t, p.Addr("none")))
		line := logged(t, p, "none.log", 1)[0]
		if !strings.HasSuffix(line, "|502") || !strings.Contains(line, refuses) {
			t.Errorf("log line %q", line)
		}
		if p.Kind == proc.Nginx && !strings.Contains(line, ", ") {
			t.Errorf("log line %q", line)
		}
	})
}

func TestStreamTimeouts(t *testing.T) {
	b := serveRaw(t, echoRaw)
	silent := serveRaw(t, readToEnd)
	const block = `
    log_format f "$upstream_addr|$status|$bytes_sent";
    server { listen 127.0.0.1:{{port:silent}}; proxy_pass {{silent}}; proxy_timeout 300ms; access_log logs/silent.log f; }
    server { listen 127.0.0.1:{{port:deaf}}; proxy_pass {{deaf}}; proxy_connect_timeout 300ms; access_log logs/deaf.log f; }
    upstream both { server {{deaf}} max_fails=0; server {{backend}} max_fails=0; }
    server { listen 127.0.0.1:{{port:next}}; proxy_pass both; proxy_connect_timeout 300ms; }`
	v := vars("backend", b.addr, "silent", silent.addr, "deaf", deafAddress(t))
	bothStreams(t, block, v, func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Addr("silent"))
		c.Send("anybody?")
		ends(t, c)
		equal(t, "log line", logged(t, p, "silent.log", 1)[0], silent.addr+"|200|0")
		streamClosed(t, p, "read_timeout", "upstream")
		ends(t, proc.Dial(t, p.Addr("deaf")))
		equal(t, "log line", logged(t, p, "deaf.log", 1)[0], v["deaf"]+"|502|0")
		sessionClosed(t, p, "connect_timeout", "upstream")
		for range 2 {
			c := proc.Dial(t, p.Addr("next"))
			c.Send("at last").Expect("at last")
			c.Close()
		}
	})
}

func TestStreamAllowAndDeny(t *testing.T) {
	const block = `
    log_format f "$remote_addr|$status";
    server { listen 127.0.0.1:{{port:front}}; return in; access_log logs/stream.log f;
             deny 127.0.0.2; allow 127.0.0.0/29; allow ::1; deny all; }`
	bothStreams(t, block, nil, func(t *testing.T, p *proc.Proxy) {
		for i, c := range []struct{ from, got string }{
			{"127.0.0.1", "in"}, {"127.0.0.2", ""}, {"127.0.0.7", "in"}, {"127.0.0.8", ""},
		} {
			r := proc.TryFrom(c.from, p.Front())
			all, err := io.ReadAll(r.Reader())
			if string(all) != c.got || gone(err) != nil {
				t.Errorf("from %s: got %q, %v", c.from, all, err)
			}
			r.Close()
			status := map[bool]string{true: "|200", false: "|403"}[c.got != ""]
			equal(t, "log line", logged(t, p, "stream.log", i+1)[i], c.from+status)
		}
		errorLogged(t, p, "access forbidden by rule")
	})
}

func TestStreamLimitConn(t *testing.T) {
	b := serveRaw(t, echoRaw)
	const block = `
    log_format f "$remote_addr|$status";
    limit_conn_zone $binary_remote_addr zone=z:1m;
    limit_conn_zone $server_port zone=dry:1m;
    server { listen 127.0.0.1:{{port:front}}; limit_conn z 2; proxy_pass {{backend}}; access_log logs/stream.log f; }
    server { listen 127.0.0.1:{{port:dry}}; limit_conn dry 1; limit_conn_dry_run on; proxy_pass {{backend}}; }`
	bothStreams(t, block, vars("backend", b.addr), func(t *testing.T, p *proc.Proxy) {
		open := func(from, server string) *proc.Raw {
			t.Helper()
			c := proc.TryFrom(from, p.Addr(server))
			c.Send("x").Expect("x")
			if c.Err() != nil {
				t.Fatal(c.Err())
			}
			return c
		}
		first, second := open("127.0.0.1", "front"), open("127.0.0.1", "front")
		ends(t, proc.TryFrom("127.0.0.1", p.Front()))
		equal(t, "log line", logged(t, p, "stream.log", 1)[0], "127.0.0.1|503")
		errorLogged(t, p, "limiting connections by zone \"z\"")
		other := open("127.0.0.2", "front")
		first.Close()
		logged(t, p, "stream.log", 2) // it is counted no more
		third := open("127.0.0.1", "front")
		for _, c := range []*proc.Raw{second, third, other} {
			c.Close()
		}
		one, two := open("127.0.0.1", "dry"), open("127.0.0.1", "dry")
		errorLogged(t, p, "limiting connections, dry run, by zone \"dry\"")
		one.Close()
		two.Close()
	})
}

// streamFormat has every variable of stream whose value two proxies can agree upon, and
// forms has those that they can't, with what each must look like.
const streamFormat = `pid=$pid host=$hostname bin=$binary_remote_addr in=$bytes_received out=$bytes_sent ` +
	`protocol=$protocol pp=$proxy_protocol_addr,$proxy_protocol_port,$proxy_protocol_server_addr,$proxy_protocol_server_port ` +
	`remote=$remote_addr,$remote_port server=$server_addr,$server_port status=$status ` +
	`upstream=$upstream_addr,$upstream_bytes_received,$upstream_bytes_sent ` +
	`preread=$ssl_preread_server_name,$ssl_preread_alpn_protocols,$ssl_preread_protocol real=$realip_remote_addr,$realip_remote_port ` +
	`ssl=$ssl_cipher,$ssl_protocol,$ssl_server_name,$ssl_session_id,$ssl_session_reused,$ssl_client_verify,$ssl_client_s_dn ` +
	`set=$x map=$m | msec=$msec iso=$time_iso8601 local=$time_local session=$session_time ` +
	`connect=$upstream_connect_time first=$upstream_first_byte_time length=$upstream_session_time connection=$connection version=$nginx_version`

var streamForms = regexp.MustCompile(`^msec=\d{10}\.\d{3} iso=20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d ` +
	`local=\d\d/[A-Z][a-z]{2}/20\d\d:\d\d:\d\d:\d\d [+-]\d{4} session=\d+\.\d{3} ` +
	`connect=(\d+\.\d{3}|-) first=(\d+\.\d{3}|-) length=(\d+\.\d{3}|-) connection=\d+ version=\S+$`)

// The same sessions give the same lines as nginx's, but for times and numbers of their own.
func TestStreamAccessLogAsNginx(t *testing.T) {
	b := serveRaw(t, func(c *proc.Raw) error {
		c.Expect("question").Send("answer!")
		return readToEnd(c)
	})
	const block = `
    map $remote_addr $m { default other; 127.0.0.1 "quoted \"value\" \\ and more"; }
    limit_conn_zone $binary_remote_addr zone=z:1m;
    log_format f '` + streamFormat + `';
    log_format j escape=json '` + streamFormat + `';
    log_format n escape=none '` + streamFormat + `';
    server { listen 127.0.0.1:{{port:front}}; proxy_pass {{backend}}; set $x "a b"; limit_conn z 9;
             access_log logs/default.log f; access_log logs/json.log j; access_log logs/none.log n; }
    server { listen 127.0.0.1:{{port:refused}}; proxy_pass {{refuses}}; access_log logs/refused.log f; }
    server { listen 127.0.0.1:{{port:return}}; return "$remote_addr"; access_log logs/return.log f; }
    server { listen 127.0.0.1:{{port:deny}}; return a; deny all; access_log logs/deny.log f; }`
	var mu sync.Mutex
	lines := map[proc.Kind]map[string]string{}
	v := vars("backend", b.addr, "refuses", port.Address(t))
	bothStreams(t, block, v, func(t *testing.T, p *proc.Proxy) {
		own := map[string]string{}
		for server, play := range map[string]func(c *proc.Raw){
			"front":   func(c *proc.Raw) { c.Send("question").Expect("answer!") },
			"refused": func(c *proc.Raw) { c.ExpectEnd() },
			"return":  func(c *proc.Raw) { c.Expect("127.0.0.1").ExpectEnd() },
			"deny":    func(c *proc.Raw) { c.ExpectEnd() },
		} {
			c := proc.Dial(t, p.Addr(server))
			_, from, _ := net.SplitHostPort(c.Conn().LocalAddr().String())
			play(c)
			c.Close()
			files := []string{server}
			if server == "front" {
				files = []string{"default", "json", "none"}
			}
			for _, file := range files {
				line := logged(t, p, file+".log", 1)[0]
				line = strings.NewReplacer(","+from, ",FROM", p.Port(server), "PORT", fmt.Sprint("pid=", p.PID()), "pid=PID").Replace(line)
				same, forms, _ := strings.Cut(line, " | ")
				if !streamForms.MatchString(forms) {
					t.Errorf("%s: %q", file, forms)
				}
				own[file] = regexp.MustCompile(`pid=\d+`).ReplaceAllString(same, "pid=PID")
			}
		}
		mu.Lock()
		lines[p.Kind] = own
		mu.Unlock()
	})
	if len(lines) == 2 {
		for file, want := range lines[proc.Nginx] {
			equal(t, "line of "+file, lines[proc.Holdfast][file], want)
		}
	}
}

func TestStreamProxyBind(t *testing.T) {
	b := serveRaw(t, func(c *proc.Raw) error {
		host, _, err := net.SplitHostPort(c.Conn().RemoteAddr().String())
		c.Send(host)
		return err
	})
	const block = `
    server { listen 127.0.0.1:{{port:front}}; proxy_bind 127.0.0.77; proxy_pass {{backend}}; }
    server { listen 127.0.0.1:{{port:client}}; proxy_bind $remote_addr; proxy_pass {{backend}}; }
    server { listen 127.0.0.1:{{port:off}}; proxy_bind off; proxy_pass {{backend}}; }`
	bothStreams(t, block, vars("backend", b.addr), func(t *testing.T, p *proc.Proxy) {
		for server, want := range map[string]string{"front": "127.0.0.77", "client": "127.0.0.5", "off": "127.0.0.1"} {
			c := proc.TryFrom("127.0.0.5", p.Addr(server))
			c.Expect(want).ExpectEnd()
			if c.Err() != nil {
				t.Errorf("%s: %v", server, c.Err())
			}
			c.Close()
		}
	})
}

func TestStreamReturn(t *testing.T) {
	long := strings.Repeat("0123456789", 300)
	block := `
    map $remote_addr $who { default stranger; 127.0.0.3 friend; }
    server { listen 127.0.0.1:{{port:front}}; set $greeting "hello $who"; return "$greeting at $server_port, $protocol\n"; }
    server { listen 127.0.0.1:{{port:long}}; return "` + long + `"; }`
	bothStreams(t, block, nil, func(t *testing.T, p *proc.Proxy) {
		for from, who := range map[string]string{"127.0.0.1": "stranger", "127.0.0.3": "friend"} {
			c := proc.TryFrom(from, p.Front())
			all, err := io.ReadAll(c.Reader())
			if want := "hello " + who + " at " + p.Port("front") + ", TCP\n"; string(all) != want || err != nil {
				t.Errorf("got %q, %v, want %q", all, err, want)
			}
			c.Close()
		}
		c := proc.Dial(t, p.Addr("long"))
		c.Send("what the client sends is of no matter").Expect(long).ExpectEnd()
	})
}

// A session with a rate goes on at it while one without is done at once.
func TestStreamRates(t *testing.T) {
	const size = 8 << 20
	sends := serveRaw(t, func(c *proc.Raw) error { return gone(sendStream(c.Conn(), 'd', size)) })
	read := &counter{}
	reads := serveRaw(t, func(c *proc.Raw) error {
		_, err := io.Copy(read, c.Reader())
		return gone(err)
	})
	const block = `
    server { listen 127.0.0.1:{{port:free}}; proxy_pass {{sends}}; }
    server { listen 127.0.0.1:{{port:down}}; proxy_pass {{sends}}; proxy_download_rate 64k; }
    server { listen 127.0.0.1:{{port:up}}; proxy_pass {{reads}}; proxy_upload_rate 64k; }
    server { listen 127.0.0.1:{{port:other}}; proxy_pass {{sends}}; proxy_upload_rate 64k; }`
	bothStreams(t, block, vars("sends", sends.addr, "reads", reads.addr), func(t *testing.T, p *proc.Proxy) {
		read.reset()
		got := &counter{}
		down, up := proc.Dial(t, p.Addr("down")), proc.Dial(t, p.Addr("up"))
		go func() { _, _ = io.Copy(got, down.Conn()) }()
		go func() { _ = sendStream(up.Conn(), 'u', size) }()
		for _, server := range []string{"free", "other"} {
			c := proc.Dial(t, p.Addr(server))
			if err := checkStream(c.Conn(), 'd', size); err != nil {
				t.Errorf("%s: %v", server, err)
			}
			c.Close()
		}
		for what, n := range map[string]*counter{"download": got, "upload": read} {
			if n.value() > size/2 {
				t.Errorf("%s: %d bytes have come by the time that two others were done with %d each", what, n.value(), size)
			}
			proc.Until(t, what+" to go on", func() error {
				if n := n.value(); n < 100<<10 {
					return fmt.Errorf("%d bytes", n)
				}
				return nil
			})
		}
		down.Close()
		up.Reset() // what it has sent would go on at its rate
	})
}

// What variables of proxy_pass yield is an upstream, an address or the end.
func TestStreamProxyPassOfVariables(t *testing.T) {
	b := serveRaw(t, sayRaw("here"))
	const block = `
    log_format f "$remote_addr|$status";
    upstream named { server {{backend}}; }
    map $remote_addr $to { default {{backend}}; 127.0.0.2 named; 127.0.0.3 nothing; 127.0.0.4 ""; }
    server { listen 127.0.0.1:{{port:front}}; proxy_pass $to; access_log logs/stream.log f; }`
	bothStreams(t, block, vars("backend", b.addr), func(t *testing.T, p *proc.Proxy) {
		for i, c := range []struct{ from, got, status string }{
			{"127.0.0.1", "here", "200"}, {"127.0.0.2", "here", "200"}, {"127.0.0.3", "", "500"}, {"127.0.0.4", "", "500"},
		} {
			r := proc.TryFrom(c.from, p.Front())
			if c.got != "" {
				r.Expect(c.got).CloseWrite()
			}
			if r.ExpectEnd(); r.Err() != nil {
				t.Errorf("from %s: %v", c.from, r.Err())
			}
			r.Close()
			equal(t, "log line", logged(t, p, "stream.log", i+1)[i], c.from+"|"+c.status)
		}
	})
}

// What a session carries is not in the logs, and what is goes nowhere else.
func TestStreamLogsNothingUnasked(t *testing.T) {
	b := serveRaw(t, echoRaw)
	p := holdfastStreams(t, plainStream, vars("backend", b.addr))
	c := proc.Dial(t, p.Front())
	c.Send("a secret").Expect("a secret").CloseWrite().ExpectEOF()
	c.Close()
	streamClosed(t, p, "done", "client")
	if text, _ := os.ReadFile(p.Dir + "/logs/access.log"); len(text) != 0 || strings.Contains(p.ErrorLog(), "secret") {
		t.Errorf("access log %q, error log %q", text, p.ErrorLog())
	}
}
