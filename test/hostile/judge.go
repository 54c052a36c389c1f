package hostile

import (
	"fmt"
	"strings"
)

// Flaw is what a proxy must never do.
type Flaw string

// The flaws.
const (
	FlawNone      Flaw = ""
	FlawAmbiguous Flaw = "ambiguous" // the readers disagree about what was let through, or it breaks the grammar
	FlawPoisoned  Flaw = "poisoned"  // a reader takes the attacker's bytes for a message, or the next client gets them
	FlawLenient   Flaw = "lenient"   // a broken message was mended: what follows it counts, for all readers alike
	FlawReused    Flaw = "reused"    // the upstream connection of a broken answer was used again
	FlawLeak      Flaw = "leak"      // a text of the case is let through, or one that must be there is not
	FlawHang      Flaw = "hang"      // an answer was due and did not come
	FlawCrash     Flaw = "crash"     // the proxy takes no connections any more
	FlawError     Flaw = "5xx"       // the proxy answers with an error that nobody behind it made
)

// marks are in the messages that may never count as one. They stand in bodies, behind
// what ends a message, or in what only a misreading takes for a message.
const (
	poisonTarget = "/poison"
	poisonField  = "x-evil"
)

// judgeMessages compares what the readers see in the same bytes. The strict one's view
// counts; the text says where another differs, or where the bytes break the grammar.
func judgeMessages(views [][]Message) (Flaw, string) {
	flaw, why := compareViews(views)
	for i, view := range views {
		for _, m := range view {
			_, evil := m.Value(poisonField)
			if !strings.Contains(m.Start, poisonTarget) && !evil {
				continue
			}
			text := fmt.Sprintf("%q reads %q", Readers[i].Name, Escape([]byte(m.Start), 60))
			if flaw == FlawNone {
				return FlawLenient, text
			}
			return FlawPoisoned, text
		}
	}
	return flaw, why
}

// compareViews finds the first place where a reader differs from the strict one.
func compareViews(views [][]Message) (Flaw, string) {
	for _, m := range views[0] {
		if m.Bad != "" {
			return FlawAmbiguous, "breaks the grammar: " + m.Bad
		}
	}
	for i, view := range views[1:] {
		name := Readers[i+1].Name
		if len(view) != len(views[0]) {
			return FlawAmbiguous, fmt.Sprintf("%q reads %d messages, strict %d", name, len(view), len(views[0]))
		}
		for k, m := range view {
			if s := views[0][k]; m.Begin != s.Begin || m.End != s.End || m.Whole != s.Whole {
				return FlawAmbiguous, fmt.Sprintf("%q ends message %d at byte %d, strict at %d", name, k+1, m.End, s.End)
			}
		}
	}
	return FlawNone, ""
}

// judgeRequests judges what one upstream connection carried; whole is how many requests.
func judgeRequests(data []byte) (whole int, flaw Flaw, why string) {
	views := make([][]Message, len(Readers))
	for i, r := range Readers {
		views[i] = r.Requests(data)
	}
	for _, m := range views[0] {
		if m.Whole {
			whole++
		}
	}
	flaw, why = judgeMessages(views)
	return whole, flaw, why
}

// judgeResponses judges what the client got.
func judgeResponses(data []byte, methods []string, fin bool) (Flaw, string) {
	views := make([][]Message, len(Readers))
	for i, r := range Readers {
		views[i] = r.Responses(data, methods, fin)
	}
	return judgeMessages(views)
}

// changes says what a proxy made of a request: of its line, its framing and its fields,
// as far as the two heads can be compared.
func changes(sent, forwarded []byte) string {
	lenient := Readers[1]
	was, is := lenient.Requests(sent), Readers[0].Requests(forwarded)
	if len(was) == 0 || len(is) == 0 {
		return ""
	}
	var out []string
	if a, b := was[0].Start, is[0].Start; a != b {
		out = append(out, "line "+Escape([]byte(b), 60))
	}
	old, now := framing(&was[0]), framing(&is[0])
	if old != now {
		out = append(out, old+" → "+now)
	}
	if host, _ := is[0].Value("host"); host != "a" {
		out = append(out, "Host "+Escape([]byte(host), 30))
	}
	for _, f := range was[0].Fields {
		if _, kept := is[0].Value(f.Name); !kept && f.Name != fieldLength && f.Name != fieldCoding {
			out = append(out, "without "+Escape([]byte(f.Name), 24))
		}
	}
	return strings.Join(out, ", ")
}

func framing(m *Message) string {
	switch {
	case count(m, fieldCoding) > 0 && count(m, fieldLength) > 0:
		return "both"
	case count(m, fieldCoding) > 0:
		return "chunked"
	case count(m, fieldLength) > 0:
		return "length"
	}
	return "no body"
}
