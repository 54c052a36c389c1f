package sidebyside_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"syscall"
	"time"

	"holdfast/test/proc"
	"holdfast/test/wire"
)

// patience is how long anything of a case may take.
const patience = 30 * time.Second

// outcome is what came of a case with one proxy.
type outcome struct {
	// lines is everything that is compared.
	lines []string
	// unmet says which answers are not those that the case expects of nginx.
	unmet []string
	// took is how long the case took; it is shown, and never judged.
	took time.Duration
}

// run makes the requests of a case to the proxy whose folder is dir.
func (g *ground) run(dir string) (o outcome) {
	g.begin()
	defer func(began time.Time) { o.took = time.Since(began) }(time.Now())
	answers := make([][]string, len(g.steps))
	held := map[int]*client{}
	var last *client
	for i := range g.steps {
		s := &g.steps[i]
		if !s.same {
			last.close()
			last = nil
		}
		if !s.hold && !s.leave {
			keep := i+1 < len(g.steps) && g.steps[i+1].same
			answers[i], last = g.ask(s, last, keep, &o)
			continue
		}
		before := g.count()
		c := g.send(s, nil, false)
		if s.hold && proc.Poll(patience, func() error { return more(g.count(), before) }) != nil {
			o.unmet = append(o.unmet, s.target+" never came to a backend")
		}
		if s.leave {
			c.close()
		} else {
			held[i] = c
		}
	}
	last.close()
	close(g.pass.release)
	for i := range g.steps {
		if c := held[i]; c != nil {
			answers[i], _, _ = c.answer(g.raw)
			c.close()
		}
		o.lines = append(o.lines, answers[i]...)
	}
	g.after(dir, &o)
	return o
}

// ask makes a step's requests and reads the answers. It returns these with the
// connection of the last one, and notes in o where they are not what the case says.
func (g *ground) ask(s *step, last *client, keep bool, o *outcome) ([]string, *client) {
	var all, bodies []string
	for n := range s.count {
		if n > 0 && !keep {
			last.close()
			last = nil
		}
		last = g.send(s, last, keep)
		lines, status, body := last.answer(g.raw)
		all = append(all, lines...)
		bodies = append(bodies, strings.TrimSpace(body))
		if s.status != 0 && status != s.status {
			o.unmet = append(o.unmet, fmt.Sprintf("%s %s: status %d, the case says %d", s.method, s.target, status, s.status))
		}
	}
	if text := strings.Join(bodies, " "); s.hasText && text != g.fill(s.text) {
		o.unmet = append(o.unmet, fmt.Sprintf("%s %s: %q, the case says %q", s.method, s.target, text, g.fill(s.text)))
	}
	return all, last
}

// after adds to an outcome what the backends saw and what was logged.
func (g *ground) after(dir string, o *outcome) {
	if g.seen > 0 && proc.Poll(patience, func() error { return more(g.count(), g.seen-1) }) != nil {
		o.unmet = append(o.unmet, fmt.Sprintf("the backends saw %d requests, the case says %d", g.count(), g.seen))
	}
	o.lines = append(o.lines, g.behind()...)
	lines, err := g.logged(dir)
	if err != nil {
		o.unmet = append(o.unmet, err.Error())
	}
	o.lines = append(o.lines, lines...)
	for i, line := range o.lines {
		o.lines[i] = g.normal(line, dir)
	}
}

func more(now, before int) error {
	if now <= before {
		return errors.New("no new request")
	}
	return nil
}

// behind is what the backends saw, each backend by itself.
func (g *ground) behind() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var names, lines []string
	for name := range g.pass.seen {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if g.seen > 0 {
			sort.Strings(g.pass.seen[name]) // mirrors come when they come
		}
		for _, text := range g.pass.seen[name] {
			lines = append(lines, strings.Split(text, "\n")...)
		}
		if g.connections {
			lines = append(lines, fmt.Sprintf("%s got %d connections", name, len(g.pass.conns[name])))
		}
	}
	return lines
}

// errorStamp is what an error log line begins with: time, level, process and connection.
var errorStamp = regexp.MustCompile(`^[0-9/]{10} [0-9:]{8} (\[[a-z]+\]) [0-9#]+: (?:\*[0-9]+ )?`)

// logged is the case's own log file, once it has as many lines as the case says.
func (g *ground) logged(dir string) ([]string, error) {
	if g.logLines == 0 {
		return nil, nil
	}
	var lines []string
	err := proc.Poll(patience, func() error {
		text, err := os.ReadFile(filepath.Join(dir, g.values["log"]))
		lines = strings.SplitAfter(string(text), "\n")
		if lines = lines[:len(lines)-1]; err == nil && len(lines) < g.logLines {
			err = fmt.Errorf("%d lines were logged, the case says %d", len(lines), g.logLines)
		}
		return err
	})
	for i := range lines {
		lines[i] = g.normal("log "+errorStamp.ReplaceAllString(strings.TrimSuffix(lines[i], "\n"), "$1 "), dir)
	}
	sort.Strings(lines) // a line is written when its request is over, which may be after the next one began
	return lines, err
}

// normal takes out what differs from run to run.
func (g *ground) normal(line, dir string) string {
	line = strings.ReplaceAll(line, g.dir, "{{files}}")
	line = strings.ReplaceAll(line, dir, "{{dir}}")
	var names []string
	for name := range g.values {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		switch {
		case name == "id" || name == "files" || name == "log":
		case strings.HasPrefix(name, "port"):
			line = strings.ReplaceAll(line, g.values[name], "{{"+name+"}}")
		default:
			line = strings.ReplaceAll(line, g.values[name], "{{"+name+"}}")
		}
	}
	return line
}

// client is a connection on which one request was sent.
type client struct {
	conn   net.Conn
	br     *bufio.Reader
	method string
	title  string
	err    error
}

// send sends a request, on the connection of last unless that is nil.
func (g *ground) send(s *step, last *client, keep bool) *client {
	c := &client{method: s.method, title: s.method + " " + g.fill(s.target)}
	if last != nil {
		c.conn, c.br, c.err = last.conn, last.br, last.err
	} else {
		dialer := net.Dialer{Timeout: patience}
		if s.source != "" {
			dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(s.source)}
		}
		if c.conn, c.err = dialer.Dial("tcp", "127.0.0.1:"+g.values["port"]); c.err == nil {
			c.br = bufio.NewReader(c.conn)
		}
	}
	if c.err == nil {
		_ = c.conn.SetDeadline(time.Now().Add(patience))
		_, c.err = io.WriteString(c.conn, g.fill(s.message(keep)))
	}
	return c
}

func (c *client) close() {
	if c != nil && c.conn != nil {
		c.conn.Close()
	}
}

// answer reads the response and gives it as lines, with its status and body. Unless it
// is to be raw, what a proxy says in its own words is made equal.
func (c *client) answer(raw bool) (lines []string, status int, body string) {
	lines = []string{"> " + c.title}
	if c.err != nil {
		return append(lines, "! "+failure(c.err)), 0, ""
	}
	head, err := wire.ReadHead(c.br)
	if err != nil {
		return append(lines, "! "+failure(err)), 0, ""
	}
	status = head.Status()
	cut := ""
	if c.method != "HEAD" && status != 204 && status != 304 {
		b, err := io.ReadAll(wire.Body(c.br, head))
		if body = string(b); err != nil {
			cut = "! " + failure(err)
		}
	}
	fields := fieldLines(head)
	if !raw {
		head.Start, fields, body = inOneVoice(head.Start, fields, body)
		if c.method == "HEAD" && status >= 300 {
			fields = lengthHidden(fields)
		}
	}
	lines = append(append(lines, head.Start), fields...)
	if body != "" {
		lines = append(lines, "body "+strconv.Quote(body))
	}
	if cut != "" {
		lines = append(lines, cut)
	}
	return lines, status, body
}

// failure names an error without what differs from run to run.
func failure(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection ended early"
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the connection was reset"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	}
	return err.Error()
}
