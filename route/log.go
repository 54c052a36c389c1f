package route

// LogRef is one access_log: the index of a log, what goes into it, and when.
type LogRef struct {
	File   int
	Format *LogFormat
	// If is the if= of the directive; nil for always.
	If *Template
}

// Wanted reports whether the request is to be logged: its condition renders neither empty
// nor "0".
func (l *LogRef) Wanted(e *Env) bool { return l.If.holds(e) }

// TunnelLogRef is one line about tunnels (tunnel_log).
type TunnelLogRef struct {
	File int
	// Log is the format; nil for names and values.
	Log *StreamLog
	// Open and Close say when a line is written: at the 101, and at the end.
	Open, Close bool
}

// LogFormat is a compiled log_format.
type LogFormat struct {
	Line   Template
	Escape Escape
}

// Append renders one line with its newline. dst may grow; the result aliases it.
func (f *LogFormat) Append(dst []byte, e *Env) []byte {
	return append(f.Line.AppendLog(dst, e, f.Escape), '\n')
}

// CombinedFormat is the text of nginx's predefined log format "combined".
const CombinedFormat = `$remote_addr - $remote_user [$time_local] "$request" ` +
	`$status $body_bytes_sent "$http_referer" "$http_user_agent"`

// CompileCondition compiles the if= of an access log. In stream it may not depend on what
// only the end of a session shows. The error is a *CompileError.
func (c *Compiler) CompileCondition(text string) (Template, error) {
	t, err := c.Compile(text)
	if err == nil && c.stream {
		err = t.knownAtOpen("an if= asks when the session begins")
	}
	return t, err
}

// holds reports whether t renders neither empty nor "0"; nil always does.
func (t *Template) holds(e *Env) bool {
	if t == nil {
		return true
	}
	buf := t.Append(e.borrow(), e)
	holds := len(buf) > 0 && string(buf) != "0"
	e.giveBack(buf)
	return holds
}
