package route

import (
	"strings"
)

// StreamEnv is what only a session of the stream context knows. The caller fills it in.
type StreamEnv struct {
	// PrereadServerName, PrereadALPN (comma-separated) and PrereadProtocol, such as TLSv1.3,
	// are what the client's hello says ($ssl_preread_…); nil while it was not looked at.
	PrereadServerName []byte
	PrereadALPN       []byte
	PrereadProtocol   []byte
	// BytesReceived counts what came from the client ($bytes_received). Env.BytesSent
	// counts what went to it.
	BytesReceived int64
	// UpstreamFirstByteMs and UpstreamSessionMs are the times from the start of the try to
	// the first byte of the upstream and to the session's end, in milliseconds; -1 while
	// unknown.
	UpstreamFirstByteMs int64
	UpstreamSessionMs   int64

	sets [][]byte // values of set directives by slot; nil while not set
}

// reset keeps the memory that sets have grown.
func (s *StreamEnv) reset() StreamEnv {
	clear(s.sets)
	return StreamEnv{sets: s.sets[:0], UpstreamFirstByteMs: -1, UpstreamSessionMs: -1}
}

// streamSet is one set directive.
type streamSet struct {
	slot  int
	value Template
}

// SetSpec is a set directive: Name without "$" and a text with variables.
type SetSpec struct{ Name, Value string }

// NewStreamCompiler returns a Compiler for the texts of the stream context: it knows the
// variables of sessions, captureNames, and setNames, those that set directives give a value.
func NewStreamCompiler(process Process, captureNames, setNames []string) *Compiler {
	c := NewCompiler(process, captureNames)
	c.stream, c.sets = true, map[string]int{}
	for _, name := range setNames {
		name = strings.ToLower(name)
		if _, known := c.sets[name]; !known {
			c.sets[name] = len(c.sets)
		}
	}
	return c
}

// NewStreamSet compiles one set directive into s, behind those it has. The error is a
// *CompileError.
func (c *Compiler) NewStreamSet(s *StreamServer, spec SetSpec) error {
	name := strings.ToLower(spec.Name)
	if err := c.checkNewName(name); err != nil {
		return err
	}
	slot, known := c.sets[name]
	if !known {
		return c.unknownVariable(name)
	}
	if c.maps[name] != nil {
		return &CompileError{Text: `"$` + name + `" is the variable of a map`, Hint: "choose another name"}
	}
	value, err := c.Compile(spec.Value)
	if err != nil {
		return err
	}
	s.sets = append(s.sets, streamSet{slot: slot, value: value})
	return nil
}

// ApplySets gives the variables of the server's set directives their values, in order. Call
// it once a session, when the client's first bytes were looked at.
func (s *StreamServer) ApplySets(e *Env) {
	for i := range s.sets {
		set := &s.sets[i]
		for len(e.Stream.sets) <= set.slot {
			e.Stream.sets = append(e.Stream.sets, nil)
		}
		e.Stream.sets[set.slot] = notNil(e.render(set.value))
	}
}

// notNil tells an empty value from none.
func notNil(b []byte) []byte {
	if b == nil {
		return noPort
	}
	return b
}

// varSet is empty, not absent, where no set directive was reached, as in nginx.
func varSet(dst []byte, e *Env, a *varArg) ([]byte, bool) {
	if a.index >= len(e.Stream.sets) {
		return dst, true
	}
	return append(dst, e.Stream.sets[a.index]...), true
}
