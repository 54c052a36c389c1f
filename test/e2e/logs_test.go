package e2e_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/test/port"
	"holdfast/test/proc"
)

// untilLog waits until a log of the proxy satisfies check.
func untilLog(t *testing.T, p *proc.Proxy, name string, check func(text string) bool) string {
	t.Helper()
	var text string
	proc.Until(t, "what "+name+" is to have", func() error {
		b, err := os.ReadFile(filepath.Join(p.Dir, "logs", name))
		if text = string(b); err != nil || !check(text) {
			return fmt.Errorf("it has %q (%v)", text, err)
		}
		return nil
	})
	return text
}

// Conditions, several logs at a level, inheritance and formats of all escapings.
func TestAccessLogAsNginx(t *testing.T) {
	const http = `
    map $status $bad { ~^[23] 0; default 1; }
    log_format d '$uri "$arg_x" $cookie_none';
    log_format j escape=json '$uri "$arg_x" $cookie_none';
    log_format n escape=none '$uri "$arg_x" $cookie_none';
    access_log logs/http.log d;
    server { listen 127.0.0.1:{{port:front}};
        location / { return 200; }
        location /off { access_log off; return 200; }
        location /several { access_log logs/d.log d; access_log logs/j.log j; access_log logs/n.log n; return 200; }
        location /if { access_log logs/if.log d if=$bad; access_log logs/if.log d if=$arg_x; access_log logs/if.log d if=0;
            location /if/404 { return 404; } return 200; }
    }`
	texts := map[proc.Kind]string{}
	both(t, proc.Spec{HTTP: http}, func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		for _, path := range []string{"/a", "/off", "/several?x=%20\"\\\x01\x7f\xff", "/if/1", "/if/404", "/if/2?x=0", "/if/3?x=00", "/end"} {
			c.Send("GET " + path + " HTTP/1.1\r\nHost: a\r\n\r\n")
			h := c.Head()
			c.Body(h)
			if h.Status() == 400 { // a byte that one of them refuses in a target
				c.Close()
				c = proc.Dial(t, p.Front())
			}
		}
		c.Close()
		var all []string
		// A refused request is logged when its connection ends, before or after the last one.
		lines := strings.SplitAfter(untilLog(t, p, "http.log", func(text string) bool {
			return strings.Contains(text, "/end") && strings.Contains(text, "\n- ")
		}), "\n")
		sort.Strings(lines)
		all = append(all, strings.Join(lines, ""))
		for _, name := range []string{"d.log", "j.log", "n.log", "if.log"} {
			text, _ := os.ReadFile(filepath.Join(p.Dir, "logs", name))
			all = append(all, string(text))
		}
		texts[p.Kind] = strings.Join(all, "-- ")
	})
	if len(texts) == 2 {
		equal(t, "the logs", texts[proc.Holdfast], texts[proc.Nginx])
	}
}

// Gathered lines wait for their time or a full buffer, and go to the old file when the log is
// reopened; compressed ones are whole members.
func TestBufferedAccessLogAsNginx(t *testing.T) {
	const http = `
    log_format u '$uri';
    access_log logs/plain.log u;
    access_log logs/flush.log u buffer=64k flush=100ms;
    access_log logs/small.log u buffer=10;
    access_log logs/gzip.log u gzip=9;
    server { listen 127.0.0.1:{{port:front}}; location / { return 204; } }`
	both(t, proc.Spec{HTTP: http, Workers: 1}, func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		for _, path := range []string{"/one", "/two", "/six"} {
			c.Send(get(path)).Response(204)
		}
		untilLog(t, p, "flush.log", func(text string) bool { return text == "/one\n/two\n/six\n" })
		untilLog(t, p, "small.log", func(text string) bool { return text == "/one\n/two\n" })
		if text := untilLog(t, p, "gzip.log", func(string) bool { return true }); text != "" {
			t.Errorf("gzip.log has %d bytes", len(text))
		}
		for _, name := range []string{"gzip.log", "plain.log"} {
			path := filepath.Join(p.Dir, "logs", name)
			if err := os.Rename(path, path+".1"); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Signal(syscall.SIGUSR1); err != nil {
			t.Fatal(err)
		}
		untilLog(t, p, "gzip.log.1", func(text string) bool { return text != "" })
		untilLog(t, p, "plain.log", func(string) bool { return true })
		c.Send(get("/new")).Response(204)
		c.Close()
		untilLog(t, p, "plain.log", func(text string) bool { return text == "/new\n" })
		p.Stop(t, syscall.SIGQUIT)
		equal(t, "gzip.log.1", inflated(t, p, "gzip.log.1"), "/one\n/two\n/six\n")
		equal(t, "gzip.log", inflated(t, p, "gzip.log"), "/new\n")
		untilLog(t, p, "small.log", func(text string) bool { return text == "/one\n/two\n/six\n/new\n" })
	})
}

func inflated(t *testing.T, p *proc.Proxy, name string) string {
	t.Helper()
	file, err := os.Open(filepath.Join(p.Dir, "logs", name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

// Messages to a syslog server look as nginx's.
func TestSyslogAsNginx(t *testing.T) {
	messages := map[proc.Kind][]string{}
	stamps := regexp.MustCompile(`[A-Z][a-z]{2} [ 123]\d \d\d:\d\d:\d\d|20\d\d/\d\d/\d\d \d\d:\d\d:\d\d|\d+#\d+|\*\d+`)
	for _, kind := range []proc.Kind{proc.Nginx, proc.Holdfast} {
		t.Run(string(kind), func(t *testing.T) {
			only(t, kind)
			server, err := net.ListenPacket("udp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			p := proc.Start(t, kind, proc.Spec{Workers: 1, Vars: vars("log", server.LocalAddr().String()), HTTP: `
    log_format u '$uri "$arg_x"';
    server { listen 127.0.0.1:{{port:front}};
        location /a { access_log syslog:server={{log}} u; return 200 x; }
        location /b { access_log syslog:server={{log}},facility=cron,severity=warn,tag=my_tag,nohostname u; return 200 x; }
        location /e { access_log off; error_log syslog:server={{log}},tag=err; root /nonexistent; }
    }`})
			c := proc.Dial(t, p.Front())
			buf := make([]byte, 1<<16)
			for _, path := range []string{"/a?x=\"", "/b", "/e"} {
				c.Send(get(path))
				c.Body(c.Head())
				if err := server.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
					t.Fatal(err)
				}
				n, _, err := server.ReadFrom(buf)
				if err != nil {
					t.Fatal(err)
				}
				message := stamps.ReplaceAllString(string(buf[:n]), "X")
				if path == "/e" { // in words of its own
					text, context, _ := strings.Cut(message, ", client:")
					message = text[:strings.LastIndex(text, "X ")] + context
				}
				messages[kind] = append(messages[kind], message)
			}
			c.Close()
		})
	}
	if len(messages) == 2 {
		for i, want := range messages[proc.Nginx] {
			equal(t, "message", messages[proc.Holdfast][i], want)
		}
	}
}

// An error goes to the error_log of the innermost level that has any, from its level on.
func TestErrorLogLevelsAsNginx(t *testing.T) {
	const http = `
    error_log logs/http.err warn;
    server { listen 127.0.0.1:{{port:front}}; root /nonexistent; access_log off;
        location / { }
        location /own { error_log logs/own.err; error_log logs/own2.err crit; error_log logs/both.err info;
                        location /own/in { } }
        location /crit { error_log logs/crit.err crit; }
        location /upstream { error_log logs/up.err; proxy_pass http://{{refuses}}; } }
    server { listen 127.0.0.1:{{port:server}}; error_log logs/server.err error; root /nonexistent; access_log off; }`
	both(t, proc.Spec{HTTP: http, Vars: vars("refuses", port.Address(t))}, func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		for _, path := range []string{"/crit", "/http", "/own/1", "/own/in/2", "/upstream"} {
			c.Send(get(path))
			c.Body(c.Head())
		}
		c.Close()
		c = proc.Dial(t, p.Addr("server")).Send(get("/server"))
		c.Body(c.Head())
		c.Close()
		const refused = "failed"
		for name, want := range map[string][]string{
			"http.err": {"/http"}, "own.err": {"/own/1", "/own/in/2"}, "both.err": {"/own/1", "/own/in/2"}, "own2.err": {},
			"crit.err": {}, "server.err": {"/server"}, "up.err": {refused},
		} {
			text := untilLog(t, p, name, func(text string) bool { return strings.Count(text, "\n") >= len(want) })
			for _, path := range want {
				if !strings.Contains(text, path) {
					t.Errorf("%s has no %s: %q", name, path, text)
				}
			}
			equal(t, "lines of "+name, strings.Count(text, "\n"), len(want))
		}
		if log := p.ErrorLog(); strings.Contains(log, "/nonexistent") || strings.Contains(log, "refused") {
			t.Errorf("the main error log has %q", log)
		}
	})
}

// The lines about tunnels, by tunnel_log.
func TestTunnelLog(t *testing.T) {
	b := proc.NewBackend(t, proc.Echo())
	p := holdfast(t, proc.Spec{Vars: vars("backend", b.Addr), HTTP: `
    log_format r '$uri $status';
    log_format t '$uri $status by=$tunnel_reason/$tunnel_side bytes=$tunnel_bytes_up/$tunnel_bytes_down '
                 'messages=$tunnel_messages_up/$tunnel_messages_down trail=$tunnel_trail sent=$body_bytes_sent '
                 'up=$upstream_addr ok=$request_completion | $tunnel_duration $request_time $upstream_response_time $msec';
    server { listen 127.0.0.1:{{port:front}}; access_log logs/a.log r;
        proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
        location /both { proxy_pass http://{{backend}}; }
        location /open { tunnel_log open; proxy_pass http://{{backend}}; }
        location /close { tunnel_log close; proxy_pass http://{{backend}}; }
        location /off { tunnel_log off; proxy_pass http://{{backend}}; }
        location /own { tunnel_log logs/own.log; proxy_pass http://{{backend}}; }
        location /format { tunnel_log logs/format.log t both; tunnel_log off; proxy_pass http://{{backend}}; }
        location /values { tunnel_log logs/values.log both; tunnel_log off; proxy_pass http://{{backend}}; }
    }`})
	for _, path := range []string{"/both", "/open", "/close", "/off", "/own", "/format", "/values"} {
		c := proc.Dial(t, p.Front())
		c.Handshake("test.example", path)
		c.EchoText("four")
		c.Close()
		proc.Until(t, "the tunnel's end", p.AtBaseline)
	}
	text := untilLog(t, p, "a.log", func(text string) bool { return strings.Count(text, "\n") >= 5 })
	want := regexp.MustCompile(`^/both 101\ntunnel_close connection=\d+ reason=done .*\n/open 101\ntunnel_close .*\n/own 101\n$`)
	if !want.MatchString(text) {
		t.Errorf("a.log: %q", text)
	}
	untilLog(t, p, "own.log", regexp.MustCompile(`^tunnel_close connection=\d+ .*\n$`).MatchString)
	untilLog(t, p, "values.log", regexp.MustCompile(`^tunnel_open connection=(\d+) client=127.0.0.1 upstream=`+
		regexp.QuoteMeta(b.Addr)+`\ntunnel_close connection=\d+ reason=done .*\n$`).MatchString)
	untilLog(t, p, "format.log", regexp.MustCompile(`^/format 101 by=-/- bytes=-/- messages=-/- trail=- sent=0 up=\S+ ok= \| - .*\n`+
		`/format 101 by=\w+/client bytes=10/6 messages=1/1 trail=\S+ sent=6 up=`+regexp.QuoteMeta(b.Addr)+
		` ok=OK \| \d+\.\d{3} \d+\.\d{3} \d+\.\d{3} \d{10}\.\d{3}\n$`).MatchString)
}

// A log that can't be written costs its lines, which /metrics counts by file, and no request.
func TestFullDiskIsReportedOnce(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("no /dev/full here: ", err)
	}
	p := holdfast(t, proc.Spec{HTTP: `server { listen 127.0.0.1:{{port:front}}; access_log /dev/full;
        location / { return 204; } }`})
	p.Tolerate("no space left on device")
	c := proc.Dial(t, p.Front())
	for range 20 {
		c.Send(get("/")).Response(204)
	}
	c.Close()
	proc.Until(t, "the count of lost lines", func() error {
		c := proc.Dial(t, p.Admin()).Send("GET /metrics HTTP/1.1\r\nHost: " + p.Admin() + "\r\nConnection: close\r\n\r\n")
		defer c.Close()
		if text := string(c.Body(c.Response(200))); !strings.Contains(text, `holdfast_log_file_lines_dropped_total{log="/dev/full"} 20`) {
			return fmt.Errorf("no such line")
		}
		return nil
	})
	equal(t, "reports", strings.Count(p.ErrorLog(), "no space left on device"), 1)
}

// The same for stream: conditions, buffers, syslog and error_log by server.
func TestStreamLogsAsNginx(t *testing.T) {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	const block = `
    map $remote_addr $yes { default 1; }
    log_format f '$server_port $status $bytes_sent';
    error_log logs/stream.err;
    server { listen 127.0.0.1:{{port:front}}; return abc; error_log logs/front.err info;
        access_log logs/yes.log f if=$yes; access_log logs/no.log f if=$ssl_preread_protocol;
        access_log logs/buffer.log f buffer=1k flush=50ms; access_log syslog:server={{log}},tag=stream,nohostname f; }
    server { listen 127.0.0.1:{{port:refused}}; proxy_pass {{refuses}}; }`
	v := vars("log", server.LocalAddr().String(), "refuses", port.Address(t))
	bothStreams(t, block, v, func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Addr("front"))
		c.Expect("abc").ExpectEnd()
		c.Close()
		want := p.Port("front") + " 200 3\n"
		untilLog(t, p, "yes.log", func(text string) bool { return text == want })
		untilLog(t, p, "buffer.log", func(text string) bool { return text == want })
		equal(t, "no.log", untilLog(t, p, "no.log", func(string) bool { return true }), "")
		buf := make([]byte, 1<<10)
		if err := server.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, _, err := server.ReadFrom(buf)
		if err != nil {
			t.Fatal(err)
		}
		if !regexp.MustCompile(`^<190>[A-Z][a-z]{2} [ 123]\d \d\d:\d\d:\d\d stream: ` + strings.TrimSpace(want) + `$`).Match(buf[:n]) {
			t.Errorf("the message is %q", buf[:n])
		}
		c = proc.Dial(t, p.Addr("refused"))
		c.ExpectEnd()
		c.Close()
		untilLog(t, p, "stream.err", func(text string) bool { return strings.Contains(text, "efused") })
		if log := p.ErrorLog(); strings.Contains(log, "onnection refused") {
			t.Errorf("the main error log has %q", log)
		}
	})
}
