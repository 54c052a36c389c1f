package route

import "holdfast/httpparse"

// EarlyHints are the conditions of early_hints. It is immutable.
type EarlyHints struct {
	conditions []Template
}

// NewEarlyHints compiles the arguments of early_hints. The error is a *CompileError.
func (c *Compiler) NewEarlyHints(conditions []string) (*EarlyHints, error) { return nil, nil }

// Pass reports whether one of the conditions is neither empty nor "0". It may be called
// on nil, which passes nothing.
func (h *EarlyHints) Pass(e *Env) bool { return false }

// AppendTrailers appends those of the trailer fields of buf that may be merged into, or
// follow, any message: no framing, routing, authentication, caching or content fields
// (RFC 9110 section 6.5.1), nor any that the proxy sets itself.
func AppendTrailers(dst, buf []byte, fields []httpparse.Field) []byte { return dst }
