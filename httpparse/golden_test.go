package httpparse_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"holdfast/httpparse"
)

var update = flag.Bool("update", false, "write the results of testdata/*.md anew")

// golden is one case of a file below testdata: its input blocks and the result.
type golden struct {
	title  string
	kinds  []string // the names of the input blocks
	inputs []string
	want   string
	before string // the file's text from the last result to this one
}

// readGolden reads the cases of one file; tail is the text behind the last of them.
func readGolden(t testing.TB, name string) (cases []golden, tail string) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var next golden
	var before, block strings.Builder
	kind, within := "", false
	for line := range strings.Lines(string(text)) {
		fence, isFence := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "```")
		switch {
		case isFence && !within:
			kind, within = fence, true
			block.Reset()
		case isFence && kind != "":
			within = false
			next.kinds = append(next.kinds, kind)
			next.inputs = append(next.inputs, unescape(t, block.String()))
		case isFence:
			within = false
			next.want, next.before = block.String(), before.String()
			cases, next = append(cases, next), golden{}
			before.Reset()
			continue
		case within:
			block.WriteString(line)
		default:
			if title, ok := strings.CutPrefix(line, "## "); ok {
				next.title = strings.TrimSpace(title)
			}
		}
		if !within || kind != "" {
			before.WriteString(line)
		}
	}
	return cases, before.String()
}

// unescape is the bytes that an input block stands for.
func unescape(t testing.TB, block string) string {
	t.Helper()
	var b strings.Builder
	for text := strings.ReplaceAll(block, "\n", ""); text != ""; {
		if text[0] != '\\' {
			b.WriteByte(text[0])
			text = text[1:]
			continue
		}
		if run, rest, ok := strings.Cut(text, ")"); ok && strings.HasPrefix(run, `\(`) {
			count, unit, _ := strings.Cut(run[2:], " ")
			n, err := strconv.Atoi(count)
			if err != nil {
				t.Fatalf("%q: %v", run, err)
			}
			b.WriteString(strings.Repeat(unit, n))
			text = rest
			continue
		}
		c, _, rest, err := strconv.UnquoteChar(text, 0)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		b.WriteByte(byte(c))
		text = rest
	}
	return b.String()
}

// shorten is text with what it repeats more than 32 times written as unescape reads it.
func shorten(text string) string {
	var b strings.Builder
	for text != "" {
		n := len(text) - len(strings.TrimLeft(text, text[:1]))
		if n > 32 {
			fmt.Fprintf(&b, `\(%d %s)`, n, text[:1])
		} else {
			b.WriteString(text[:n])
		}
		text = text[n:]
	}
	return b.String()
}

// run parses the inputs of a case in every way and describes the outcome.
func (g golden) run(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	var req *httpparse.Request
	var reqBuf []byte
	for i, in := range g.inputs {
		kind, method, _ := strings.Cut(g.kinds[i], " ")
		switch kind {
		case "request":
			req, reqBuf = new(httpparse.Request), []byte(in)
			b.WriteString(everyWay(t, req, in))
			req.Reset()
			_, _ = req.Parse(reqBuf)
		case "response":
			answer := &responseTo{method: httpparse.MethodGet}
			if method != "" {
				answer.method = httpparse.MethodIDOf([]byte(method))
			}
			b.WriteString(everyWay(t, answer, in))
			answer.Reset()
			if done, _ := answer.Parse([]byte(in)); done && req != nil {
				fmt.Fprintf(&b, "switch: %v, strict: %v\n", answer.SwitchOK([]byte(in), req, reqBuf, false),
					answer.SwitchOK([]byte(in), req, reqBuf, true))
			}
		case "chunked":
			b.WriteString(chunkedEveryWay(t, in))
		default:
			t.Fatalf("no kind of input: %q", kind)
		}
	}
	return shorten(b.String())
}

// TestGolden runs every case of testdata/*.md: whole, cut in two at every place, byte by
// byte, and flush against a page that faults.
func TestGolden(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("testdata/*.md")
	if err != nil || len(names) < 5 {
		t.Fatalf("%d files, %v", len(names), err)
	}
	total := 0
	for _, name := range names {
		cases, tail := readGolden(t, name)
		total += len(cases)
		var out strings.Builder
		for _, g := range cases {
			t.Run(strings.TrimSuffix(filepath.Base(name), ".md")+"/"+g.title, func(t *testing.T) {
				got := g.run(t)
				if got != g.want && !*update {
					t.Errorf("\n got %s\nwant %s", got, g.want)
				}
				out.WriteString(g.before + "```\n" + got + "```\n")
			})
		}
		if !*update {
			continue
		}
		if err := os.WriteFile(name, []byte(out.String()+tail), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if total < 200 {
		t.Errorf("only %d cases were found", total)
	}
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		"a\\r\\n\nb\\t\\\\\\x00\\xff\n": "a\r\nb\t\\\x00\xff",
		"\\(3 ab)c\n":                   "abababc",
	} {
		if got := unescape(t, in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	if got := shorten(strings.Repeat("e", 33) + "xx"); got != `\(33 e)xx` {
		t.Errorf("shortened to %q", got)
	}
}
