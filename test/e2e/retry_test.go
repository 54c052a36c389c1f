package e2e_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"holdfast/test/port"
	"holdfast/test/proc"
	"holdfast/test/wire"
)

// retryRow is a request to a group whose peers misbehave. What comes of it is what nginx
// makes of it.
type retryRow struct {
	name string
	// peers are what each server of the group does, in its order: the name of a play, "dead" or
	// "full", with parameters of the server directive behind it.
	peers string // comma between them
	set   string // directives of the location
	group string // directives of the upstream block
	ask   string // "METHOD body", or "WS"; several, with a comma between them, are sent one after the other
	// differs is what holdfast makes of it where it is not the same, and why.
	differs, because string
}

// retryPlays are the ways of peers.
var retryPlays = map[string]proc.Behaviour{
	"ok":    retryOK,
	"close": func(*proc.Exchange) {},
	"reset": func(x *proc.Exchange) { x.Reset() },
	"part":  func(x *proc.Exchange) { x.Send("HTTP/1.1 200 OK\r\nContent-Le") },
	"line":  func(x *proc.Exchange) { x.Send("HTTP/1.1 200 OK\r\nbad\x00field\r\n\r\n") },
	"noise": func(x *proc.Exchange) { x.Send("HTTP/1.1 2x0 OK\r\n\r\n") },
	"cut":   func(x *proc.Exchange) { x.Send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart") },
	"mute":  func(x *proc.Exchange) { x.WaitEnd() },
	"once": func(x *proc.Exchange) { // the connection is kept, and closed at the next request
		if x.Request == 1 {
			retryOK(x)
		}
	},
	"interim": func(x *proc.Exchange) { x.Send("HTTP/1.1 103 Early Hints\r\n\r\n") },
	"200":     func(x *proc.Exchange) { proc.Answer(200, "no tunnel")(x) },
	"500":     func(x *proc.Exchange) { proc.Answer(500, "of a peer")(x) },
	"502":     func(x *proc.Exchange) { proc.Answer(502, "of a peer")(x) },
	"503":     func(x *proc.Exchange) { proc.Answer(503, "of a peer")(x) },
	"504":     func(x *proc.Exchange) { proc.Answer(504, "of a peer")(x) },
	"403":     func(x *proc.Exchange) { proc.Answer(403, "of a peer")(x) },
	"404":     func(x *proc.Exchange) { proc.Answer(404, "of a peer")(x) },
	"429":     func(x *proc.Exchange) { proc.Answer(429, "of a peer")(x) },
}

func retryOK(x *proc.Exchange) {
	if x.Head.IsUpgrade() {
		x.Switch()
		_ = wire.Echo(x.Reader(), x.Conn())
		return
	}
	proc.Answer(200, "fine")(x)
}

// retryRows are all rows, one group of servers each: the first request is always for the
// first server.
func retryRows() []retryRow {
	var rows []retryRow
	add := func(r retryRow) { rows = append(rows, r) }
	const statuses = "http_500 http_502 http_503 http_504 http_403 http_404 http_429"
	const non = "proxy_next_upstream error timeout invalid_header " + statuses + " non_idempotent;"
	// Every condition, alone, against every way of a peer.
	for _, condition := range append(strings.Fields(statuses), "error", "timeout", "invalid_header", "off") {
		for _, play := range []string{"dead", "close", "reset", "part", "line", "500", "502", "503", "504", "403", "404", "429"} {
			add(retryRow{name: condition + "-" + play, peers: play + ",ok", set: "proxy_next_upstream " + condition + ";", ask: "GET"})
		}
	}
	// Every way of a peer, for every kind of request, with and without non_idempotent.
	for _, play := range []string{"dead", "close", "reset", "line", "503", "404"} {
		for _, ask := range []string{"GET", "POST body", "PUT body", "PATCH body", "DELETE", "LOCK body", "POST", "WS", "PROPFIND body", "HEAD"} {
			name := strings.ReplaceAll(ask, " ", "_") + "-" + play
			add(retryRow{name: name, peers: play + ",ok", ask: ask,
				set: "proxy_next_upstream error timeout invalid_header " + statuses + ";"})
			add(retryRow{name: name + "-non", peers: play + ",ok", set: non, ask: ask})
		}
	}
	return append(rows, moreRetryRows()...)
}

func moreRetryRows() []retryRow {
	const short = "proxy_read_timeout 2s; "
	return []retryRow{
		{name: "timeout", peers: "mute,ok", set: short, ask: "GET"},
		{name: "timeout-error", peers: "mute,ok", set: short + "proxy_next_upstream error;", ask: "GET"},
		{name: "timeout-post", peers: "mute,ok", set: short, ask: "POST body"},
		{name: "timeout-ws", peers: "mute,ok", set: short, ask: "WS"},
		{name: "timeout-all", peers: "mute,mute", set: short, ask: "GET"},
		{name: "timeout-then-failed-before", peers: "dead,mute max_fails=0", set: short, ask: "GET,GET"},
		{name: "timeout-time-over", peers: "mute,ok", set: short + "proxy_next_upstream_timeout 500ms;", ask: "GET"},
		{name: "timeout-time-left", peers: "mute,ok", set: short + "proxy_next_upstream_timeout 1m;", ask: "GET"},
		{name: "timeout-then-none", peers: "mute,dead,ok max_fails=1", set: short, ask: "GET,GET"},
		{name: "timeout-then-failed", peers: "mute,close", set: short + "proxy_next_upstream error timeout;", ask: "GET,GET,GET"},
		{name: "connect-timeout", peers: "full,ok", set: "proxy_connect_timeout 2s;", ask: "GET"},
		{name: "connect-timeout-post", peers: "full,ok", set: "proxy_connect_timeout 2s;", ask: "POST body"},
		{name: "connect-timeout-off", peers: "full,ok", set: "proxy_connect_timeout 2s; proxy_next_upstream error;", ask: "POST body"},
		{name: "connect-timeout-ws", peers: "full,ok", set: "proxy_connect_timeout 2s;", ask: "WS"},
		{name: "tries-1", peers: "close,ok", set: "proxy_next_upstream_tries 1;", ask: "GET,GET"},
		{name: "tries-2", peers: "close,close,ok", set: "proxy_next_upstream_tries 2;", ask: "GET,GET"},
		{name: "tries-3", peers: "close,dead,ok", set: "proxy_next_upstream_tries 3;", ask: "GET,GET"},
		{name: "tries-9", peers: "close,dead,reset", set: "proxy_next_upstream_tries 9;", ask: "GET,GET,GET"},
		{name: "tries-status", peers: "503,503,ok", set: "proxy_next_upstream http_503; proxy_next_upstream_tries 2;", ask: "GET,GET"},
		{name: "tries-dead", peers: "dead,dead,ok", set: "proxy_next_upstream_tries 2;", ask: "GET,GET"},
		{name: "all-503", peers: "503,503", set: "proxy_next_upstream http_503;", ask: "GET,GET,GET"},
		{name: "all-503-failed", peers: "503,503,503", set: "proxy_next_upstream http_503;", ask: "GET,GET"},
		{name: "503-dead", peers: "503,dead", set: "proxy_next_upstream http_503 error;", ask: "GET,GET"},
		{name: "503-close", peers: "503,close", set: "proxy_next_upstream http_503 error;", ask: "GET,GET"},
		{name: "503-down", peers: "503,ok down", set: "proxy_next_upstream http_503;", ask: "GET,GET"},
		{name: "503-of-one", peers: "503", set: "proxy_next_upstream http_503;", ask: "GET,GET"},
		{name: "close-of-one", peers: "close", ask: "GET,GET"},
		{name: "dead-of-one", peers: "dead", ask: "GET,GET"},
		{name: "404-all", peers: "404,404", set: "proxy_next_upstream http_404;", ask: "GET,GET,GET"},
		{name: "404-unfailed", peers: "404,ok", set: "proxy_next_upstream http_404;", ask: "GET,GET,GET"},
		{name: "403-backup", peers: "403,ok backup", set: "proxy_next_upstream http_403;", ask: "GET,GET,GET"},
		{name: "500-backup", peers: "500,ok backup", set: "proxy_next_upstream http_500;", ask: "GET,GET,GET"},
		{name: "failed-and-backup-down", peers: "dead,ok backup down,ok backup", ask: "GET,GET"},
		{name: "down-first", peers: "ok down,close,ok", ask: "GET,GET,GET"},
		{name: "fails-2", peers: "close max_fails=2,ok", ask: "GET,GET,GET,GET,GET"},
		{name: "fails-0", peers: "close max_fails=0,ok", ask: "GET,GET,GET,GET,GET"},
		{name: "all-failed", peers: "close,reset", ask: "GET,GET,GET"},
		{name: "all-failed-post", peers: "close,reset", ask: "POST body,POST body,POST body,GET"},
		{name: "all-failed-ws", peers: "dead,close", ask: "WS,WS"},
		{name: "ws-503-all", peers: "503,503", set: "proxy_next_upstream http_503;", ask: "WS,WS"},
		{name: "ws-refused", peers: "403,ok", ask: "WS,WS"},
		{name: "ws-200", peers: "200,ok", ask: "WS,WS"},
		{name: "ws-part", peers: "part,ok", ask: "WS"},
		{name: "cut", peers: "cut,ok", ask: "GET"},
		{name: "interim-close", peers: "interim,ok", ask: "GET", differs: `200 "fine" a, b|502, 200; seen a:GET, b:GET`,
			because: "nginx 1.22 takes a 103 for the answer"},
		{name: "noise", peers: "noise,ok", set: "proxy_next_upstream invalid_header;", ask: "GET",
			differs: `200 "fine" a, b|502, 200; seen a:GET, b:GET`, because: "nginx takes it for HTTP/0.9"},
		{name: "noise-error", peers: "noise,ok", set: "proxy_next_upstream error;", ask: "GET",
			differs: `502 "page" a|502; seen a:GET`, because: "nginx takes it for HTTP/0.9"},
		{name: "kept", peers: "once", group: "keepalive 4;", ask: "GET,GET,GET,GET"},
		{name: "kept-post", peers: "once", group: "keepalive 4;", ask: "GET,POST body,POST body,GET"},
		{name: "kept-then-other", peers: "once,ok", group: "keepalive 4;", ask: "GET,GET,GET,GET",
			differs: `200 "fine" a|200; 200 "fine" b|200; 200 "fine" a, a|502, 200; 200 "fine" b|200; ` +
				"seen a:GET, b:GET, a:GET, a:GET, b:GET",
			because: "behind an idle connection that had gone holdfast tries the same peer on a fresh one"},
		{name: "kept-ws", peers: "once,ok", group: "keepalive 4;", ask: "GET,GET,WS,WS",
			differs: `200 "fine" a|200; 200 "fine" b|200; 101 "" a|101; 101 "" b|101; seen a:GET, b:GET, a:GET, b:GET`,
			because: "holdfast makes no tunnel of an idle connection"},
		{name: "streamed-put", peers: "close,ok", set: "proxy_request_buffering off;", ask: "PUT body"},
		{name: "streamed-dead", peers: "dead,ok", set: "proxy_request_buffering off;", ask: "PUT body"},
		{name: "streamed-get", peers: "close,ok", set: "proxy_request_buffering off;", ask: "GET"},
		{name: "streamed-503", peers: "503,ok", set: "proxy_request_buffering off; proxy_next_upstream http_503;", ask: "PUT body"},
		{name: "least-conn", peers: "close,close,ok", group: "least_conn;", ask: "GET,GET"},
		{name: "ip-hash", peers: "dead,dead,ok", group: "ip_hash;", ask: "GET,GET"},
		{name: "error-page", peers: "close,reset", set: "error_page 502 =299 /own;", ask: "GET,GET"},
		{name: "intercepted", peers: "503,503", set: "proxy_next_upstream http_503; proxy_intercept_errors on; error_page 503 =299 /own;", ask: "GET"},
		{name: "weights", peers: "close weight=3 max_fails=2,ok,ok", ask: "GET,GET,GET,GET,GET,GET,GET,GET,GET,GET"},
	}
}

// retryGround are the peers of all rows, and what they saw.
type retryGround struct {
	rows  []retryRow
	names map[string]string // of addresses
	at    map[string]string // addresses, by letter or play
	mu    sync.Mutex
	saw   map[string][]string // by row
}

const retryLetters = "abc"

func newRetryGround(t *testing.T, rows []retryRow) *retryGround {
	g := &retryGround{rows: rows, names: map[string]string{}, at: map[string]string{}, saw: map[string][]string{}}
	plays := map[string][]string{} // by target
	for _, r := range rows {
		for peer := range strings.SplitSeq(r.peers, ",") {
			plays["/"+r.name] = append(plays["/"+r.name], strings.Fields(peer)[0])
		}
	}
	for i, letter := range retryLetters {
		b := proc.NewBackend(t, func(x *proc.Exchange) {
			body := ""
			if x.Head.Chunked() || x.Head.ContentLength() > 0 {
				body = " " + string(x.Body(x.Head))
			}
			row := x.Head.Target()
			g.mu.Lock()
			g.saw[row] = append(g.saw[row], fmt.Sprintf("%c:%s%s", letter, x.Head.Method(), body))
			g.mu.Unlock()
			x.Head.Raw = "" // the body is read: no play reads it again
			retryPlays[plays[row][i]](withoutBody(x))
		})
		g.name(string(letter), b.Addr)
		g.name("dead"+string(letter), port.Address(t))
		g.name("full"+string(letter), fullListener(t))
	}
	return g
}

// withoutBody is an exchange whose body was read.
func withoutBody(x *proc.Exchange) *proc.Exchange {
	var fields []wire.Field
	for _, f := range x.Head.Fields {
		if !strings.EqualFold(f.Name, "Content-Length") && !strings.EqualFold(f.Name, "Transfer-Encoding") {
			fields = append(fields, f)
		}
	}
	x.Head.Fields = fields
	return x
}

func (g *retryGround) name(name, address string) { g.names[address], g.at[name] = name, address }

// spec has an upstream block and a location for each row.
func (g *retryGround) spec() proc.Spec {
	var groups, locations strings.Builder
	for _, r := range g.rows {
		fmt.Fprintf(&groups, "upstream %s { %s\n", r.name, r.group)
		for i, peer := range strings.Split(r.peers, ",") {
			words := strings.Fields(peer)
			name := retryLetters[i : i+1]
			if words[0] == "dead" || words[0] == "full" {
				name = words[0] + name
			}
			if !strings.Contains(peer, "fail_timeout=") {
				words = append(words, "fail_timeout=1h") // longer than a test
			}
			fmt.Fprintf(&groups, "server %s %s;\n", g.at[name], strings.Join(words[1:], " "))
		}
		fmt.Fprintf(&groups, "}\n")
		fmt.Fprintf(&locations, "location = /%s { %s proxy_pass http://%s; }\n", r.name, r.set, r.name)
	}
	return proc.Spec{Workers: 1, HTTP: groups.String() + `
		server {
			listen 127.0.0.1:{{port:front}};
			add_header X-Up "$upstream_addr|$upstream_status" always;
			proxy_http_version 1.1;
			proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;
			location = /own { internal; return 200 own; }
			` + locations.String() + `
		}`}
}

// play asks for all that a row asks for and returns what the client and the peers saw.
func (g *retryGround) play(p *proc.Proxy, r retryRow) string {
	var all []string
	for ask := range strings.SplitSeq(r.ask, ",") {
		c := proc.Try(p.Front())
		method, body, _ := strings.Cut(ask, " ")
		var h wire.Head
		var got string
		if method == "WS" {
			c.Send(wire.UpgradeRequest("x", "/"+r.name))
			if h = c.Head(); h.Status() == 101 {
				c.EchoText("through")
			} else {
				got = string(c.Body(h))
			}
		} else {
			c.Send(wire.Lines(method+" /"+r.name+" HTTP/1.1", "Host: x", fmt.Sprint("Content-Length: ", len(body))) + body)
			if h = c.Head(); method != "HEAD" && h.Status() >= 200 {
				got = string(c.Body(h))
			}
		}
		if c.Err() != nil && !strings.Contains(c.Err().Error(), "EOF") {
			got += c.Err().Error()
		} else if c.Err() != nil {
			got += " cut off"
		}
		if strings.Contains(got, "<html>") {
			got = "page"
		}
		c.Close()
		tries := h.Get("X-Up")
		for address, name := range g.names {
			tries = strings.ReplaceAll(tries, address, name)
		}
		all = append(all, fmt.Sprintf("%d %q %s", h.Status(), got, strings.ReplaceAll(tries, r.name, "GROUP")))
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	saw := g.saw["/"+r.name]
	delete(g.saw, "/"+r.name)
	return strings.Join(all, "; ") + "; seen " + strings.Join(saw, ", ")
}

// Every condition of proxy_next_upstream does what it does in nginx: what the client gets, which
// peers were tried, and what each of them saw.
func TestRetriesAsNginx(t *testing.T) {
	g := newRetryGround(t, retryRows())
	g.compare(t, g.spec())
}

// compare plays all rows with nginx, then with holdfast.
func (g *retryGround) compare(t *testing.T, spec proc.Spec) {
	t.Helper()
	theirs := map[string]string{}
	both(t, spec, func(t *testing.T, p *proc.Proxy) {
		results := make([]string, len(g.rows))
		var wg sync.WaitGroup
		slots := make(chan struct{}, 16)
		for i, r := range g.rows {
			wg.Go(func() {
				slots <- struct{}{}
				results[i] = g.play(p, r)
				<-slots
			})
		}
		wg.Wait()
		for i, r := range g.rows {
			switch {
			case p.Kind == proc.Nginx:
				theirs[r.name] = results[i]
			case r.differs != "":
				equal(t, r.name+" ("+r.because+")", results[i], r.differs)
			case theirs[r.name] != "" && results[i] != theirs[r.name]:
				t.Errorf("%s: %s; %s; %s; %s\n got %s\nwant %s", r.name, r.peers, r.group, r.set, r.ask, results[i], theirs[r.name])
			}
		}
	})
}
