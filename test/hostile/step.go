package hostile

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Action is what a Step does after its bytes were sent.
type Action uint8

// The actions. They are written in double braces: {{pause}}.
const (
	ActionNone   Action = iota
	ActionPause         // wait a moment, so that what follows is a segment of its own
	ActionFIN           // end the sending side
	ActionClose         // close the connection
	ActionReset         // close it by a reset
	ActionEarly         // response only, first: answer at the head, before the body is here
	ActionAccept        // response only, first: send when the connection is accepted
)

var actions = map[string]Action{
	"pause": ActionPause, "fin": ActionFIN, "close": ActionClose, "reset": ActionReset,
	"early": ActionEarly, "accept": ActionAccept,
}

// Step is bytes to send and what to do then.
type Step struct {
	Bytes []byte
	Then  Action
}

// braces is {{action}} or {{n*text}}: text n times.
var braces = regexp.MustCompile(`\{\{(?:([a-z]+)|([0-9]+)\*(.*?))\}\}`)

// parseSteps reads a block. Only what is written counts: the line ends of the text are
// not bytes, a CRLF is written \r\n.
func parseSteps(lines []string) ([]Step, error) {
	var steps []Step
	var now []byte
	for _, line := range lines {
		for line != "" {
			at := braces.FindStringSubmatchIndex(line)
			if at == nil {
				at = []int{len(line), len(line), -1, -1, -1, -1, -1, -1}
			}
			plain, err := unescape(line[:at[0]])
			if err != nil {
				return nil, err
			}
			if bytes.Contains(plain, []byte("{{")) {
				return nil, fmt.Errorf("open braces in %q", line)
			}
			now = append(now, plain...)
			switch {
			case at[2] >= 0:
				then, known := actions[line[at[2]:at[3]]]
				if !known {
					return nil, fmt.Errorf("no action %s", line[at[0]:at[1]])
				}
				steps, now = append(steps, Step{Bytes: now, Then: then}), nil
			case at[4] >= 0:
				times, _ := strconv.Atoi(line[at[4]:at[5]])
				text, err := unescape(line[at[6]:at[7]])
				if err != nil {
					return nil, err
				}
				now = append(now, bytes.Repeat(text, times)...)
			}
			line = line[at[1]:]
		}
	}
	if len(now) > 0 || len(steps) == 0 {
		steps = append(steps, Step{Bytes: now})
	}
	return steps, nil
}

// unescape reads \r, \n, \t, \\ and \xHH; every other byte must be printable ASCII.
func unescape(text string) ([]byte, error) {
	out := make([]byte, 0, len(text))
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c < ' ' || c > '~' {
			return nil, fmt.Errorf("byte %#x must be written as an escape", c)
		}
		if c != '\\' {
			out = append(out, c)
			continue
		}
		if i++; i == len(text) {
			return nil, fmt.Errorf("%q ends in a backslash", text)
		}
		switch text[i] {
		case 'r':
			out = append(out, '\r')
		case 'n':
			out = append(out, '\n')
		case 't':
			out = append(out, '\t')
		case '\\':
			out = append(out, '\\')
		case 'x':
			if i+3 > len(text) {
				return nil, fmt.Errorf("a cut escape in %q", text)
			}
			n, err := strconv.ParseUint(text[i+1:i+3], 16, 8)
			if err != nil {
				return nil, err
			}
			out = append(out, byte(n))
			i += 2
		default:
			return nil, fmt.Errorf("no escape \\%c", text[i])
		}
	}
	return out, nil
}

// Escape writes bytes visibly, at most that many, as the corpus writes them.
func Escape(b []byte, most int) string {
	var out strings.Builder
	for i, c := range b {
		if i == most {
			out.WriteString("…")
			break
		}
		switch {
		case c == '\r':
			out.WriteString(`\r`)
		case c == '\n':
			out.WriteString(`\n`)
		case c == '\t':
			out.WriteString(`\t`)
		case c == '\\':
			out.WriteString(`\\`)
		case c < ' ' || c > '~':
			fmt.Fprintf(&out, `\x%02x`, c)
		default:
			out.WriteByte(c)
		}
	}
	return out.String()
}

func joined(steps []Step) []byte {
	var all []byte
	for _, s := range steps {
		all = append(all, s.Bytes...)
	}
	return all
}
