package route

import (
	"regexp"
	"strconv"
	"strings"

	"holdfast/httpparse"
)

// Process is what some variables say about this process. It never changes, so it is
// compiled into the texts.
type Process struct {
	PID      int    // $pid
	Hostname string // $hostname
	// Version is what $nginx_version renders: there is no nginx here, so it is
	// holdfast's own version.
	Version string
}

// Compiler turns texts with variables into Templates. It knows the variables that
// the configuration adds: maps and the named captures of regular expressions. Both
// must be known before the first text that uses them is compiled: captures are given
// to NewCompiler, maps to DefineMaps. It is not for concurrent use; what it returns is.
type Compiler struct {
	process  Process
	captures map[string]int // name → slot in Env.captures.named
	maps     map[string]*mapTable
	mapCount int
	uses     uses
	// sets are the variables of set directives by their slot; stream says that the texts
	// are those of the stream context.
	sets map[string]int
	// assigned are the variables of set directives of http by their slot.
	assigned map[string]int
	stream   bool
}

// CompileError says why a text, pattern or specification was refused.
type CompileError struct {
	Text string // what is wrong
	Hint string // what to write instead; may be empty
}

// Error is Text, followed by Hint if there is one.
func (err *CompileError) Error() string {
	if err.Hint == "" {
		return err.Text
	}
	return err.Text + "; " + err.Hint
}

// NewCompiler returns a Compiler that knows nginx's own variables and captureNames,
// the names of all named groups of all regular expressions in the configuration.
func NewCompiler(process Process, captureNames []string) *Compiler {
	c := &Compiler{process: process, captures: map[string]int{}, maps: map[string]*mapTable{}}
	for _, name := range captureNames {
		name = strings.ToLower(name)
		if _, known := c.captures[name]; !known {
			c.captures[name] = len(c.captures)
		}
	}
	return c
}

// Compile compiles a text in nginx's syntax: $name, ${name}, $1 to $9. The error is a
// *CompileError that names the variable nobody defines and the nearest one there is.
func (c *Compiler) Compile(text string) (Template, error) {
	var t Template
	literal := ""
	for rest := text; rest != ""; {
		before, after, found := strings.Cut(rest, "$")
		literal += before
		if !found {
			break
		}
		name, left, err := splitVariable(text, after)
		if err != nil {
			return Template{}, err
		}
		p, err := c.variable(name)
		if err != nil {
			return Template{}, err
		}
		rest = left
		if p.render == nil {
			literal += p.literal
			continue
		}
		if literal != "" {
			t.parts = append(t.parts, part{literal: literal})
			literal = ""
		}
		t.parts = append(t.parts, p)
	}
	if literal != "" {
		t.parts = append(t.parts, part{literal: literal})
	}
	return t, nil
}

// splitVariable takes the name off what follows a "$" in text.
func splitVariable(text, after string) (name, rest string, err error) {
	braced := strings.HasPrefix(after, "{")
	if braced {
		after = after[1:]
	}
	end := 0
	if after != "" && isGroupDigit(after[0]) && !braced {
		end = 1
	} else {
		for end < len(after) && isNameByte(after[end]) {
			end++
		}
	}
	name, rest = after[:end], after[end:]
	switch {
	case braced && !strings.HasPrefix(rest, "}"):
		return "", "", &CompileError{
			Text: "the closing bracket of a variable is missing in " + strconv.Quote(text),
			Hint: `write "${name}"`,
		}
	case name == "":
		return "", "", &CompileError{
			Text: `"$" without a variable's name in ` + strconv.Quote(text),
			Hint: `a name of letters, digits and "_" must follow`,
		}
	case braced:
		rest = rest[1:]
	}
	return strings.ToLower(name), rest, nil
}

func isGroupDigit(c byte) bool { return c >= '1' && c <= '9' }

func isNameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

// isTokenByte reports whether c may stand in a field's name (RFC 9110 section 5.6.2).
func isTokenByte(c byte) bool { return isNameByte(c) || strings.IndexByte("!#$%&'*+-.^`|~", c) >= 0 }

// defined is variable for what is no set directive's.
func (c *Compiler) defined(name string) (part, error) {
	if len(name) == 1 && isGroupDigit(name[0]) {
		return part{render: varGroup, arg: varArg{index: int(name[0] - '0'), group: true}}, nil
	}
	switch name {
	case "pid":
		return part{literal: strconv.Itoa(c.process.PID)}, nil
	case "hostname":
		return part{literal: c.process.Hostname}, nil
	case "nginx_version":
		return part{literal: c.process.Version}, nil
	}
	if c.stream {
		if p, found := c.streamVariable(name); found {
			return p, nil
		}
	} else if render, ok := fixedVariables[name]; ok {
		c.uses.note(name)
		return part{render: render, arg: varArg{hole: tunnelHoles[name]}}, nil
	}
	if p, found, err := vectorVariable(name); found {
		return p, err
	}
	if m, ok := c.maps[name]; ok {
		return part{render: varMap, arg: varArg{table: m}}, nil
	}
	if slot, ok := c.captures[name]; ok {
		return part{render: varNamedCapture, arg: varArg{index: slot}}, nil
	}
	for i := range prefixVariables {
		p := &prefixVariables[i]
		if rest, ok := strings.CutPrefix(name, p.prefix); ok && rest != "" && (!c.stream || isSharedPrefix(p.prefix)) {
			c.uses.sent = c.uses.sent || p.prefix == "sent_http_"
			c.uses.trailers = c.uses.trailers || strings.HasSuffix(p.prefix, "_trailer_")
			id := httpparse.FieldIDOf([]byte(strings.ReplaceAll(rest, "_", "-")))
			return part{render: p.render, arg: varArg{name: rest, id: id}}, nil
		}
	}
	return part{}, c.unknownVariable(name)
}

func (c *Compiler) unknownVariable(name string) error {
	if c.stream && isHTTPOnly(name) {
		return &CompileError{
			Text: `the variable "$` + name + `" exists in http only`, Hint: "use one of the stream context",
		}
	}
	if _, known := streamVariables[name]; known && !c.stream {
		return &CompileError{Text: `the variable "$` + name + `" exists in stream only`, Hint: "use one of the http context"}
	}
	err := &CompileError{
		Text: `unknown variable "$` + name + `"`, Hint: "define it with map, geo, set or a named group of a regex",
	}
	near := nearest(name, func(yield func(string)) {
		c.eachFixed(yield)
		for known := range c.maps {
			yield(known)
		}
		for known := range c.captures {
			yield(known)
		}
		for known := range c.assigned {
			yield(known)
		}
	})
	if near != "" {
		err.Hint = `did you mean "$` + near + `"?`
	}
	return err
}

// commonNames are names worth suggesting that no table lists.
var commonNames = []string{
	"pid", "hostname", "nginx_version", "http_host", "http_upgrade", "http_connection", "http_origin",
	"http_cookie", "http_referer", "http_user_agent", "http_x_forwarded_for", "http_x_forwarded_proto",
}

// eachFixed passes the names of the built-in variables to yield.
func (c *Compiler) eachFixed(yield func(string)) {
	if c.stream {
		eachStreamName(yield)
		return
	}
	for known := range fixedVariables {
		yield(known)
	}
	for _, known := range commonNames {
		yield(known)
	}
}

// CheckGroups refuses a regular expression with a group named like a variable that is built in.
func (c *Compiler) CheckGroups(pattern string) error {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return &CompileError{Text: "invalid regular expression: " + err.Error()}
	}
	for _, name := range re.SubexpNames() {
		if name == "" {
			continue
		}
		if err := c.checkNewName(strings.ToLower(name)); err != nil {
			return err
		}
	}
	return nil
}

// checkNewName refuses names that cannot be given to a map or capture.
func (c *Compiler) checkNewName(name string) error {
	_, fixed := fixedVariables[name]
	if c.stream {
		_, own := streamVariables[name]
		fixed = own || fixed && isShared(name)
	}
	if fixed || name == "pid" || name == "hostname" || name == "nginx_version" {
		return builtIn(name)
	}
	return nil
}

func builtIn(name string) error {
	return &CompileError{
		Text: `the variable "$` + name + `" is built in and cannot be defined again`,
		Hint: "choose another name",
	}
}

// regex compiles a pattern in the syntax of package regexp. Its named groups must be
// among the capture names given to NewCompiler.
func (c *Compiler) regex(pattern string) (*regex, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, &CompileError{Text: "invalid regular expression: " + err.Error()}
	}
	r := &regex{re: re}
	for _, name := range re.SubexpNames() {
		slot := -1
		if name != "" {
			name = strings.ToLower(name)
			if err := c.checkNewName(name); err != nil {
				return nil, err
			}
			known, ok := c.captures[name]
			if !ok {
				known = len(c.captures)
				c.captures[name] = known
			}
			slot = known
		}
		r.slots = append(r.slots, slot)
	}
	return r, nil
}
