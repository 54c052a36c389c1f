package sidebyside_test

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// testCase is one small configuration with the requests that it answers. In a file of
// testdata it looks like this:
//
//	=== name
//	- log: 1
//	Prose.
//	--- http
//	upstream u{{id}} { server {{a}}; server {{b}} backup; }
//	--- server
//	location / { access_log {{log}}; proxy_pass http://u{{id}}; }
//	--- backend a
//	HTTP/1.1 503 No
//	X-Field: value
//
//	body
//	--- ask
//	GET /x?y => 200 text
//	  X-Field: value
//	--- differs
//	The reason.
//	- a line that only nginx has
//	+ a line that only holdfast has
//
// A backend without a script answers 200 with its name; other scripts are close, reset,
// silent, hold (until all other requests are done), dead, and bytes with what to send.
// In {{id}} is a number of the case's own, in {{port}} where its server listens, in
// {{files}} its folder; names that begin with port are other ports, all others backends.
type testCase struct {
	// group is the name of its file, name its heading, unique in all files.
	group, name string
	// number is {{id}}: what makes its variables, zones and upstreams its own.
	number int
	// http and server are configuration: the one for the http block, the other for a
	// server of its own that listens on {{port}}.
	http, server string
	// files are written below {{files}}, by their paths.
	files map[string]string
	// scripts are what backends do, by "name", "name /path" or "name #n", where n
	// counts the requests of that backend from 1.
	scripts map[string]string
	// steps are the requests, in their order.
	steps []step
	// logLines is how many lines to wait for in {{log}}, seen how many requests at the
	// backends; connections shows how many connections each backend got.
	logLines, seen int
	connections    bool
	// alone gives the case processes of its own, without the settings that the others
	// share; raw shows what is made equal otherwise.
	alone, raw bool
	// reason says why holdfast differs from nginx, and diff how: lines that only nginx
	// has begin with "-", those that only holdfast has with "+".
	reason string
	diff   []string
}

// step is one or more equal requests.
type step struct {
	count   int
	method  string
	target  string
	version string
	fields  []string
	body    string
	// source is the client's address, "" for the kernel's choice.
	source string
	// hold leaves the request open until the last step was made; same sends it on the
	// connection of the step before; leave ends the connection behind the request.
	hold, same, leave bool
	// status is what nginx answers, 0 for anything; text is its body, without the
	// blanks around it, those of several answers joined by blanks.
	status  int
	text    string
	hasText bool
}

var (
	headingForm = regexp.MustCompile(`^=== ([a-z0-9_.-]+)$`)
	sectionForm = regexp.MustCompile(`^--- (http|server|ask|differs|file|backend)(?: (.+))?$`)
	itemForm    = regexp.MustCompile(`^- (log|seen|connections|process|raw): ?(.*)$`)
	askForm     = regexp.MustCompile(`^(?:([0-9]+)x )?([A-Za-z]+) (\S+)(?: (HTTP/[0-9.]+))?(?: =>(?: ([0-9]{3}))?(?: (.*))?)?$`)
	byteForm    = regexp.MustCompile(`\\x[0-9a-f]{2}`)
)

// readCases reads every file of testdata, in the order of their names.
func readCases() ([]*testCase, error) {
	paths, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		return nil, err
	}
	var all []*testCase
	names := map[string]bool{}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		group := strings.TrimSuffix(filepath.Base(path), ".txt")
		cases, err := parseCases(group, string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		for _, c := range cases {
			if names[c.name] {
				return nil, fmt.Errorf("%s: two cases called %s", path, c.name)
			}
			names[c.name] = true
			c.number = len(all)
			all = append(all, c)
		}
	}
	return all, nil
}

// reader collects the case whose heading was read last.
type reader struct {
	cases   []*testCase
	section string
	name    string
	block   []string
}

func parseCases(group, text string) ([]*testCase, error) {
	r := &reader{}
	lines := bufio.NewScanner(strings.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		var err error
		if m := headingForm.FindStringSubmatch(line); m != nil {
			err = r.endSection()
			r.cases = append(r.cases, &testCase{group: group, name: m[1], files: map[string]string{}, scripts: map[string]string{}})
			r.section = "head"
		} else if m := sectionForm.FindStringSubmatch(line); m != nil && r.section != "" {
			err = r.endSection()
			r.section, r.name = m[1], m[2]
		} else if strings.HasPrefix(line, "===") || strings.HasPrefix(line, "--- ") {
			err = fmt.Errorf("what is %q?", line)
		} else {
			r.block = append(r.block, line)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if err := r.endSection(); err != nil {
		return nil, fmt.Errorf("last case: %w", err)
	}
	for _, c := range r.cases {
		if len(c.steps) == 0 || c.http+c.server == "" {
			return nil, fmt.Errorf("%s: no request or no configuration", c.name)
		}
	}
	return r.cases, nil
}

// endSection puts the section that was being read into its case.
func (r *reader) endSection() (err error) {
	block := strings.TrimRight(strings.Join(r.block, "\n"), "\n ")
	lines := r.block
	r.block = nil
	if len(r.cases) == 0 {
		return nil
	}
	c := r.cases[len(r.cases)-1]
	switch r.section {
	case "head":
		err = c.readItems(lines)
	case "http":
		c.http += block + "\n"
	case "server":
		c.server += block + "\n"
	case "file":
		c.files[r.name] = block
	case "backend":
		c.scripts[r.name] = block
	case "ask":
		err = c.readSteps(lines)
	case "differs":
		for _, line := range lines {
			if strings.HasPrefix(line, "-") || strings.HasPrefix(line, "+") {
				c.diff = append(c.diff, line)
			} else {
				c.reason = strings.TrimSpace(c.reason + " " + strings.TrimSpace(line))
			}
		}
		if c.reason == "" || len(c.diff) == 0 {
			err = errors.New("a difference without a reason or without its lines")
		}
	}
	return err
}

// readItems reads what stands between a case's heading and its first section; lines
// that are no items are prose.
func (c *testCase) readItems(lines []string) (err error) {
	for _, line := range lines {
		m := itemForm.FindStringSubmatch(line)
		if m == nil {
			if strings.HasPrefix(line, "- ") {
				return fmt.Errorf("an item %q", line)
			}
			continue
		}
		switch m[1] {
		case "log":
			c.logLines, err = strconv.Atoi(m[2])
		case "seen":
			c.seen, err = strconv.Atoi(m[2])
		case "connections":
			c.connections = true
		case "raw":
			c.raw = true
		case "process":
			c.alone = m[2] == "own"
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readSteps reads requests: a line each, followed by indented lines: "Name: value" a
// field, "< text" the body, "@from address", "@hold", "@same" and "@leave".
func (c *testCase) readSteps(lines []string) error {
	for _, line := range lines {
		switch {
		case strings.TrimSpace(line) == "":
		case strings.HasPrefix(line, "  ") && len(c.steps) > 0:
			c.steps[len(c.steps)-1].detail(strings.TrimSpace(line))
		default:
			m := askForm.FindStringSubmatch(line)
			if m == nil {
				return fmt.Errorf("a request %q", line)
			}
			s := step{count: 1, method: m[2], target: m[3], version: m[4], text: strings.TrimSpace(m[6]), hasText: m[6] != ""}
			if m[1] != "" {
				s.count, _ = strconv.Atoi(m[1])
			}
			if s.version == "" {
				s.version = "HTTP/1.1"
			}
			s.status, _ = strconv.Atoi(m[5])
			c.steps = append(c.steps, s)
		}
	}
	return nil
}

func (s *step) detail(line string) {
	if address, ok := strings.CutPrefix(line, "@from "); ok {
		s.source = address
	} else if line == "@hold" {
		s.hold = true
	} else if line == "@leave" {
		s.leave = true
	} else if line == "@same" {
		s.same = true
	} else if text, ok := strings.CutPrefix(line, "< "); ok {
		s.body += escaped(text)
	} else {
		s.fields = append(s.fields, escaped(line))
	}
}

// escaped turns \xNN into the byte and \n into a line feed.
func escaped(text string) string {
	text = byteForm.ReplaceAllStringFunc(text, func(m string) string {
		n, _ := strconv.ParseUint(m[2:], 16, 8)
		return string([]byte{byte(n)})
	})
	return strings.ReplaceAll(text, `\n`, "\n")
}

// message is the request as it is sent. A Host is added where the step has none, and
// "Connection: close" unless the connection is to be kept; a field "Host: -" stands for
// no Host at all.
func (s *step) message(keep bool) string {
	fields := append([]string(nil), s.fields...)
	if !hasField(fields, "Host") {
		fields = append([]string{"Host: test.example"}, fields...)
	}
	if !keep && !hasField(fields, "Connection") {
		fields = append(fields, "Connection: close")
	}
	body := s.body
	if hasField(fields, "Transfer-Encoding") {
		body = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
	} else if body != "" && !hasField(fields, "Content-Length") {
		fields = append(fields, "Content-Length: "+strconv.Itoa(len(body)))
	}
	var text strings.Builder
	text.WriteString(s.method + " " + s.target + " " + s.version + "\r\n")
	for _, field := range fields {
		if field != "Host: -" {
			text.WriteString(field + "\r\n")
		}
	}
	return text.String() + "\r\n" + body
}

func hasField(fields []string, name string) bool {
	for _, field := range fields {
		if n, _, _ := strings.Cut(field, ":"); strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}
