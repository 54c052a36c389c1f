package sidebyside_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"holdfast/test/port"
	"holdfast/test/proc"
	"holdfast/test/wire"
)

// ground is what a case stands on, the same for both proxies: ports, files, backends.
type ground struct {
	*testCase
	values   map[string]string
	backends map[string]*proc.Backend
	// dir is the folder of its files, conf its configuration.
	dir, conf string

	mu   sync.Mutex
	pass *pass
}

// pass is what happened while one proxy was asked.
type pass struct {
	seen    map[string][]string
	total   int
	conns   map[string]map[int]bool
	release chan struct{}
}

// written is when all files were written, so that their ETag is the same in every run.
var written = time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)

var placeholder = regexp.MustCompile(`\{\{([A-Za-z0-9_]+)\}\}`)

// prepare picks the ports of a case, starts its backends and writes its files.
func prepare(t *testing.T, c *testCase) *ground {
	t.Helper()
	g := &ground{testCase: c, values: map[string]string{}, backends: map[string]*proc.Backend{}, dir: t.TempDir()}
	g.values["id"] = strconv.Itoa(c.number)
	g.values["files"] = g.dir
	g.values["log"] = fmt.Sprintf("logs/case%d.log", c.number)
	g.values["port"] = strconv.Itoa(port.Take(t))
	everything := c.http + c.server
	for _, script := range c.scripts {
		everything += script
	}
	for _, m := range placeholder.FindAllStringSubmatch(everything, -1) {
		g.assign(t, m[1])
	}
	conf := c.http
	if c.server != "" {
		conf += "server {\nlisten 127.0.0.1:{{port}};\n" + c.server + "}\n"
	}
	for name, text := range c.files {
		path := filepath.Join(g.dir, name)
		write(t, path, g.fill(text))
		if err := os.Chtimes(path, written, written); err != nil {
			t.Fatal(err)
		}
	}
	g.conf = filepath.Join(t.TempDir(), c.name+".conf")
	write(t, g.conf, g.fill(conf))
	return g
}

// assign gives a placeholder its value: names that begin with "port" are ports to listen
// on, all others are backends.
func (g *ground) assign(t *testing.T, name string) {
	if g.values[name] != "" {
		return
	}
	if strings.HasPrefix(name, "port") {
		g.values[name] = strconv.Itoa(port.Take(t))
	} else if g.scripts[name] == "dead" {
		g.values[name] = port.Address(t)
	} else {
		b := proc.NewBackend(t, func(x *proc.Exchange) { g.play(name, x) })
		g.backends[name], g.values[name] = b, b.Addr
	}
}

// fill puts values in the place of placeholders.
func (g *ground) fill(text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(m string) string {
		return g.values[strings.Trim(m, "{}")]
	})
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// begin starts a pass: nothing was seen yet.
func (g *ground) begin() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pass = &pass{seen: map[string][]string{}, conns: map[string]map[int]bool{}, release: make(chan struct{})}
}

// count is how many requests the backends have seen in this pass.
func (g *ground) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pass.total
}

// play is a backend's part for one request: it notes the request and does what the
// script says.
func (g *ground) play(name string, x *proc.Exchange) {
	var body []byte
	if x.Head.Chunked() || x.Head.ContentLength() > 0 {
		body = x.Body(x.Head)
	}
	path, _, _ := strings.Cut(x.Head.Target(), "?")
	g.mu.Lock()
	p := g.pass
	p.seen[name] = append(p.seen[name], strings.Join(g.seenLines(name, x.Head, body), "\n"))
	nth := len(p.seen[name])
	p.total++
	if p.conns[name] == nil {
		p.conns[name] = map[int]bool{}
	}
	p.conns[name][x.Connection] = true
	g.mu.Unlock()
	script := "HTTP/1.1 200 OK\nContent-Type: text/plain\n\n" + name + "\n"
	for _, key := range []string{name + " #" + strconv.Itoa(nth), name + " " + path, name} {
		if s, ok := g.scripts[key]; ok {
			script = s
			break
		}
	}
	g.act(g.fill(script), x, p)
}

func (g *ground) act(script string, x *proc.Exchange, p *pass) {
	word, rest, _ := strings.Cut(script, " ")
	switch word {
	case "close":
	case "reset":
		x.Reset()
	case "silent":
		x.WaitEnd()
	case "hold":
		<-p.release
		x.Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nheld\n")
	case "bytes":
		x.Send(escaped(rest))
	default:
		head, body, _ := strings.Cut(script, "\n\n")
		if body != "" {
			body = strings.TrimRight(body, "\n") + "\n"
		}
		answer(x, strings.Split(head, "\n"), escaped(body))
	}
}

// answer sends a response. It gets a Content-Length unless it has one, or is HTTP/1.0.
// The connection stays open if the response is whole.
func answer(x *proc.Exchange, lines []string, body string) {
	head := wire.Head{}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ":")
		head.Fields = append(head.Fields, wire.Field{Name: name, Value: strings.TrimSpace(value)})
	}
	length := len(body)
	if x.Head.Method() == "HEAD" {
		body = ""
	}
	if !head.Has("Content-Length") && !head.Chunked() && !strings.HasPrefix(lines[0], "HTTP/1.0") {
		lines = append(lines, "Content-Length: "+strconv.Itoa(length))
	} else if head.ContentLength() != int64(length) && x.Head.Method() != "HEAD" {
		x.Send(wire.Lines(lines...) + body)
		return
	}
	x.Send(wire.Lines(lines...) + body)
	last := strings.EqualFold(x.Head.Get("Connection"), "close") || strings.EqualFold(head.Get("Connection"), "close")
	x.Keep = x.Err() == nil && !strings.HasPrefix(lines[0], "HTTP/1.0") && !last
}

// seenLines is a request as a backend saw it: fields sorted by name. Unless a case is
// raw, nginx's "Connection: close" is left out: whether an upstream
// connection is kept differs, and is a case of its own.
func (g *ground) seenLines(name string, head wire.Head, body []byte) []string {
	lines := []string{name + " saw " + head.Start}
	for _, line := range fieldLines(head) {
		if g.raw || line != "  Connection: close" {
			lines = append(lines, line)
		}
	}
	if len(body) > 0 {
		lines = append(lines, "body "+strconv.Quote(string(body)))
	}
	return lines
}

func fieldLines(head wire.Head) []string {
	var lines []string
	for _, f := range head.Fields {
		if !strings.EqualFold(f.Name, "Date") && !strings.EqualFold(f.Name, "Server") {
			lines = append(lines, "  "+f.Name+": "+f.Value)
		}
	}
	sort.SliceStable(lines, func(i, j int) bool {
		a, _, _ := strings.Cut(lines[i], ":")
		b, _, _ := strings.Cut(lines[j], ":")
		return strings.ToLower(a) < strings.ToLower(b)
	})
	return lines
}
