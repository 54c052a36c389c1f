package main

import (
	"fmt"
	"strings"

	"holdfast/bench/peers"
	"holdfast/test/hostile"
)

// proxy is one proxy's results, in the order of the cases.
type proxy struct {
	kind    peers.Kind
	version string
	results []hostile.Result
}

// report is everything; the first proxy is holdfast.
type report struct {
	cases   []hostile.Case
	proxies []proxy
}

// class is a verdict as the totals count it: how it ended, not with which status.
func class(r *hostile.Result) string {
	o := r.Outcome
	switch {
	case r.Flaw != hostile.FlawNone:
		return string(r.Flaw)
	case o.End == hostile.EndRefused && r.Case.Scripted():
		return "answered 5xx"
	case o.End == hostile.EndHeadless:
		return "answered without a head"
	case o.End == hostile.EndRefused:
		return "refused"
	case o.End != hostile.EndDone:
		return string(o.End)
	case r.Case.Scripted():
		return "passed on"
	}
	return "forwarded"
}

// classes are the rows of the totals with their meaning.
var classes = [][2]string{
	{"refused", "the client gets a 4xx, 501 or 505 of the proxy"},
	{"answered 5xx", "a hostile answer is replaced by an error of the proxy"},
	{"closed", "the connection ends without an answer"},
	{"cut", "the client gets an answer that it can tell to be incomplete"},
	{"waits", "the request is not whole, the proxy waits"},
	{"forwarded", "clean requests reach the backend, and no more than the client sent"},
	{"passed on", "a clean answer reaches the client"},
	{"switched", "the connection is a tunnel"},
	{"answered without a head", "HTTP/0.9, or frames of HTTP/2"},
	{"lenient", "a broken message is mended and what follows it counts as another: harmful where a hop before reads it otherwise"},
	{"ambiguous", "**what was let through breaks the grammar, or reads differently to different readers**"},
	{"poisoned", "**a reader takes smuggled bytes for a message, or the next client gets a wrong answer**"},
	{"reused", "**the upstream connection of a broken answer is used again**"},
	{"leak", "**a field or an upgrade passes that must not, or one of the proxy's own is missing**"},
	{"hang", "**no answer within 2 s, though nothing more will come from the other side**"},
	{"5xx", "**an error that nobody behind the proxy made**"},
	{"crash", "**no connections any more**"},
}

func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# The hostile corpus\n\n%d cases from `test/hostile/corpus` against three proxies, each a plain reverse proxy with the\n"+
		"upgrade idiom and keep-alive to the upstream (`bench/hostile/*.c*`, `test/hostile/*.conf`). Written by `make hostile`.\n\n", len(r.cases))
	for _, p := range r.proxies {
		fmt.Fprintf(&b, "- %s: %s\n", p.kind, p.version)
	}
	b.WriteString("\nA backend records every byte. Five naive readers judge what was let through, in both directions: a strict one,\n" +
		"one for which LF ends lines, one for which Content-Length wins, one for which Transfer-Encoding wins, and one for\n" +
		"which a bare CR ends lines, too. Two well-behaved requests follow every case.\n\n## Totals\n\n")
	r.header(&b, "| verdict |", "| meaning |")
	for _, c := range classes {
		fmt.Fprintf(&b, "| %s |", c[0])
		for _, p := range r.proxies {
			n := 0
			for i := range p.results {
				if class(&p.results[i]) == c[0] {
					n++
				}
			}
			fmt.Fprintf(&b, " %d |", n)
		}
		fmt.Fprintf(&b, " %s |\n", c[1])
	}
	b.WriteString("| not as the corpus wants it |")
	for _, p := range r.proxies {
		n := 0
		for i := range p.results {
			if !p.results[i].OK() {
				n++
			}
		}
		fmt.Fprintf(&b, " %d |", n)
	}
	b.WriteString(" of a general proxy it is not always wrong; of holdfast it is |\n")
	r.differences(&b)
	return b.String()
}

func (r *report) header(b *strings.Builder, left, right string) {
	b.WriteString(left)
	for _, p := range r.proxies {
		fmt.Fprintf(b, " %s |", p.kind)
	}
	fmt.Fprintf(b, "%s\n|---|%s---|\n", strings.TrimPrefix(right, "|"), strings.Repeat("---|", len(r.proxies)))
}

// differences are the rows where the classes are not the same.
func (r *report) differences(b *strings.Builder) {
	counts := map[string]int{}
	var rows strings.Builder
	group := ""
	for i := range r.cases {
		same := true
		for _, p := range r.proxies[1:] {
			same = same && class(&p.results[i]) == class(&r.proxies[0].results[i])
		}
		if same {
			continue
		}
		c := &r.cases[i]
		if c.Group != group {
			group = c.Group
			fmt.Fprintf(&rows, "\n### %s\n\n", group)
			r.header(&rows, "| case |", "| holdfast is |")
		}
		fmt.Fprintf(&rows, "| %s: %s |", c.Name, cell(c.About))
		for _, p := range r.proxies {
			fmt.Fprintf(&rows, " %s |", cell(describe(&p.results[i])))
		}
		place, why := r.position(i)
		counts[place]++
		fmt.Fprintf(&rows, " %s%s |\n", place, cell(why))
	}
	fmt.Fprintf(b, "\n## Where they differ\n\nIn %d cases the verdicts differ. holdfast is stricter than both or one of the others and laxer than none in %d,\n"+
		"laxer than one of them in %d, and as strict, only otherwise, in %d.\n%s", counts[stricter]+counts[laxer]+counts[even],
		counts[stricter], counts[laxer], counts[even], rows.String())
}

// cell makes text fit for a cell of a table.
func cell(text string) string { return strings.ReplaceAll(text, "|", "\\|") }

// describe is a verdict with what explains it.
func describe(r *hostile.Result) string {
	text := r.Verdict()
	if r.Flaw != hostile.FlawNone {
		return "**" + text + "** (" + r.Outcome.String() + "; " + clip(r.Why, 90) + ")"
	}
	if r.Changes != "" && !r.Case.Scripted() && r.Outcome.Forwarded > 0 {
		text += " (" + clip(r.Changes, 90) + ")"
	}
	return text
}

// clip keeps a text from making a table unreadable; it is ASCII but for an ellipsis.
func clip(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
