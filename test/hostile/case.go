// Package hostile holds a corpus of hostile HTTP/1.1, from clients and from upstreams,
// and what judges a reverse proxy by it: a recording backend and five deliberately naive
// readers of the bytes that the proxy let through. Where the readers disagree, somebody
// behind the proxy could be made to see another request or response than the proxy did.
// It speaks sockets only and shares no code with the proxy.
package hostile

import (
	"bufio"
	"embed"
	"errors"
	"fmt"
	"path"
	"sort"
	"strings"
)

//go:embed corpus/*.md
var corpus embed.FS

// Case is one payload with what is expected of a proxy.
type Case struct {
	// Group is the name of its file, Name its heading; Name is unique in the corpus.
	Group, Name string
	// About says what is attacked, and by which clause of which RFC that is wrong.
	About string
	// Request is what the client sends.
	Request []Step
	// Response is what the backend answers the first request with; nil for its usual answer.
	Response []Step
	// Allowed are the outcomes that are right.
	Allowed []Outcome
	// Sees and Lacks are texts that must and must not be in what was let through: to the
	// backend, or, where Response is given, to the client. They have no case.
	Sees, Lacks []string
	// Reuse allows another request on the connection of Response.
	Reuse bool
	// Note says why letting this through does no harm, where others refuse it.
	Note string
}

// Corpus reads the whole corpus, in the order of the files' names and of their headings.
func Corpus() ([]Case, error) {
	entries, err := corpus.ReadDir("corpus")
	if err != nil {
		return nil, err
	}
	var all []Case
	seen := map[string]bool{}
	sort.Slice(entries, func(i, j int) bool { return entries[i].Name() < entries[j].Name() })
	for _, entry := range entries {
		text, err := corpus.ReadFile(path.Join("corpus", entry.Name()))
		if err != nil {
			return nil, err
		}
		cases, err := parseFile(strings.TrimSuffix(entry.Name(), ".md"), string(text))
		if err != nil {
			return nil, fmt.Errorf("corpus/%s: %w", entry.Name(), err)
		}
		for _, c := range cases {
			if seen[c.Name] {
				return nil, fmt.Errorf("corpus/%s: two cases called %s", entry.Name(), c.Name)
			}
			seen[c.Name] = true
		}
		all = append(all, cases...)
	}
	return all, nil
}

// parseFile reads the cases of one file. What stands before the first "## " is prose.
func parseFile(group, text string) ([]Case, error) {
	var cases []Case
	p := parser{group: group}
	lines := bufio.NewScanner(strings.NewReader(text))
	for number := 1; lines.Scan(); number++ {
		if err := p.line(lines.Text()); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		if p.whole != nil {
			cases = append(cases, *p.whole)
			p.whole = nil
		}
	}
	if err := p.finish(); err != nil {
		return nil, err
	}
	if p.whole != nil {
		cases = append(cases, *p.whole)
	}
	return cases, nil
}

// parser collects the case whose heading was read last; whole is the one before it.
type parser struct {
	group string
	now   *Case
	whole *Case
	fence string // the block that is open: "request", "response", or ""
	block []string
}

func (p *parser) line(line string) error {
	switch {
	case p.fence != "" && line == "```":
		return p.endBlock()
	case p.fence != "":
		p.block = append(p.block, line)
	case strings.HasPrefix(line, "## "):
		if err := p.finish(); err != nil {
			return err
		}
		p.now = &Case{Group: p.group, Name: strings.TrimSpace(line[3:])}
	case p.now == nil || strings.TrimSpace(line) == "":
	case strings.HasPrefix(line, "```"):
		if p.fence = line[3:]; p.fence != "request" && p.fence != "response" {
			return fmt.Errorf("a block %q", line)
		}
	case strings.HasPrefix(line, "- "):
		return p.item(line[2:])
	default:
		p.now.About = strings.TrimSpace(p.now.About + " " + line)
	}
	return nil
}

func (p *parser) endBlock() error {
	steps, err := parseSteps(p.block)
	if err != nil {
		return err
	}
	if p.fence == "request" {
		p.now.Request = steps
	} else {
		p.now.Response = steps
	}
	p.fence, p.block = "", nil
	return nil
}

func (p *parser) item(line string) (err error) {
	key, value, _ := strings.Cut(line, ": ")
	switch key {
	case "allow":
		p.now.Allowed, err = parseOutcomes(value)
	case "sees":
		p.now.Sees, err = appendBytes(p.now.Sees, value)
	case "lacks":
		p.now.Lacks, err = appendBytes(p.now.Lacks, value)
	case "reuse":
		p.now.Reuse = value == "allowed"
	case "note":
		p.now.Note = value
	default:
		err = fmt.Errorf("an item %q", key)
	}
	return err
}

func appendBytes(list []string, text string) ([]string, error) {
	b, err := unescape(strings.Trim(text, "`"))
	return append(list, string(b)), err
}

// plainRequest is what the client sends where a case is about the response alone.
const plainRequest = "GET /c HTTP/1.1\r\nHost: a\r\n\r\n"

// finish hands over the case that was being read.
func (p *parser) finish() error {
	c := p.now
	if c == nil {
		return nil
	}
	if c.Request == nil && c.Response != nil {
		c.Request = []Step{{Bytes: []byte(plainRequest)}}
	}
	switch {
	case p.fence != "":
		return fmt.Errorf("%s: a block without an end", c.Name)
	case c.Request == nil:
		return fmt.Errorf("%s: no request", c.Name)
	case len(c.Allowed) == 0:
		return fmt.Errorf("%s: nothing allowed", c.Name)
	case !strings.Contains(c.About, "RFC") && !strings.Contains(c.About, "CVE") && !strings.Contains(c.About, "Control"):
		return errors.New(c.Name + ": names no clause")
	}
	p.whole, p.now = c, nil
	return nil
}

// Scripted tells whether the case is about what an upstream answers.
func (c *Case) Scripted() bool { return c.Response != nil }

// cut tells whether more of the request is due, so that a proxy may wait for it.
func (c *Case) cut() bool {
	all := Readers[0].Requests(c.sent())
	return len(all) > 0 && !all[len(all)-1].Whole && all[len(all)-1].Bad == ""
}

// sent is everything the client sends, joined.
func (c *Case) sent() []byte { return joined(c.Request) }
