package config

import (
	"strings"
	"time"
)

// AddHeader is one add_header directive.
type AddHeader struct {
	Position
	Name string
	// Value may contain variables; nothing is added where it renders empty.
	Value string
	// Always adds the field whatever the status.
	Always bool
}

// Expires is an expires directive.
type Expires struct {
	Position
	// Text is the argument as written, without "modified": a time with or without a
	// sign, @ and a time of the day, epoch, max, off, or a text with variables.
	Text string
	// Modified counts from the file's Last-Modified.
	Modified bool
}

// ServerTokens says what the Server field of our answers tells (server_tokens).
type ServerTokens uint8

// The values of server_tokens.
const (
	TokensOff   ServerTokens = iota // holdfast
	TokensOn                        // holdfast/VERSION
	TokensBuild                     // the same, and the commit if it is known
	TokensText                      // Settings.ServerName
)

// framingFields are the response fields that say where a message ends or what becomes
// of its connection: they are the proxy's, and another one beside its own would let
// two readers see two messages (RFC 9112 section 11.2).
var framingFields = []string{
	"Connection", "Content-Length", "Keep-Alive", "Proxy-Connection", "Trailer", "Transfer-Encoding", "Upgrade",
}

func readAddHeader(l *level, n *node)  { l.addField(n, &l.set.AddHeaders) }
func readAddTrailer(l *level, n *node) { l.addField(n, &l.set.AddTrailers) }

// addField reads a name, a value and perhaps always into a list.
func (l *level) addField(n *node, list *[]AddHeader) {
	if l.first(n) {
		*list = nil
	}
	field := AddHeader{Position: n.Position, Name: n.args[0], Value: n.args[1]}
	if !isToken(field.Name) {
		l.invalid(n, field.Name, "write the name of a header field")
		return
	}
	for _, name := range framingFields {
		if strings.EqualFold(name, field.Name) {
			l.add(Error, n.Position, "remove it: holdfast writes this field itself",
				"%q cannot be set by %q", field.Name, n.name)
			return
		}
	}
	if !isFieldValue(field.Value) {
		l.invalid(n, field.Value, "write the value without line ends")
		return
	}
	if len(n.args) == 3 {
		if field.Always = n.args[2] == "always"; !field.Always {
			l.invalid(n, n.args[2], "write always, or nothing")
			return
		}
	}
	l.text(n.Position, n.name, field.Value)
	*list = append(*list, field)
}

// isFieldValue says whether a text has no control character but the tab (RFC 9110
// section 5.5).
func isFieldValue(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f })
}

const hintExpires = "write a time such as 1h or -1, @15h30m, epoch, max or off"

func readExpires(l *level, n *node) {
	e := &Expires{Position: n.Position, Text: n.args[0]}
	if len(n.args) == 2 {
		if n.args[0] != "modified" {
			l.invalid(n, n.args[0], "write: expires [modified] TIME;")
			return
		}
		e.Modified, e.Text = true, n.args[1]
	}
	if strings.Contains(e.Text, "$") {
		l.text(n.Position, n.name, e.Text)
	} else if !l.expiresText(n, e) {
		return
	}
	l.set.Expires = e
}

// expiresText checks an argument of expires that has no variables.
func (l *level) expiresText(n *node, e *Expires) bool {
	text := e.Text
	if !e.Modified && (text == "epoch" || text == "max" || text == "off") {
		return true
	}
	daily := false
	if text != "" {
		switch text[0] {
		case '@':
			daily, text = true, text[1:]
		case '+', '-':
			text = text[1:]
		}
	}
	d, ok := parseSeconds(text)
	switch {
	case !ok:
		l.invalid(n, e.Text, hintExpires)
	case daily && e.Modified:
		l.invalid(n, e.Text, "a time of the day cannot count from the modification: leave out one of the two")
	case daily && d > 24*time.Hour:
		l.invalid(n, e.Text, "write a time of the day, less than 24 hours")
	default:
		return true
	}
	return false
}

func readServerTokens(l *level, n *node) {
	l.set.ServerName = ""
	switch arg := n.args[0]; strings.ToLower(arg) {
	case "off":
		l.set.ServerTokens = TokensOff
	case "on":
		l.set.ServerTokens = TokensOn
	case "build":
		l.set.ServerTokens = TokensBuild
	default:
		if strings.TrimSpace(arg) != arg || arg == "" || !isFieldValue(arg) || strings.ContainsAny(arg, "$<>&") {
			l.invalid(n, arg, "write on, off, build, or a text without variables, line ends, < and >")
			return
		}
		l.set.ServerTokens, l.set.ServerName = TokensText, arg
	}
}

func readEarlyHints(l *level, n *node) {
	if l.first(n) {
		l.set.EarlyHints = nil
	}
	for _, arg := range n.args {
		l.text(n.Position, n.name, arg)
		l.set.EarlyHints = append(l.set.EarlyHints, Text{n.Position, arg})
	}
}
