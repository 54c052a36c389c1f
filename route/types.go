package route

import "strings"

// Types are the media types by the ending of a file's name (types). It is immutable.
type Types struct {
	byEnding map[string]string
}

// endingMax bounds the length in bytes of an ending that is looked up.
const endingMax = 32

// defaultTypes hold where no types block stands, as in nginx.
var defaultTypes = NewTypes(map[string]string{"html": "text/html", "gif": "image/gif", "jpg": "image/jpeg"})

// NewTypes makes Types from endings without "." and in any case.
func NewTypes(byEnding map[string]string) *Types {
	t := &Types{byEnding: make(map[string]string, len(byEnding))}
	for ending, mediaType := range byEnding {
		t.byEnding[strings.ToLower(ending)] = mediaType
	}
	return t
}

// find is the media type of a path by its ending, or empty.
func (t *Types) find(path []byte) string {
	ending := endingOf(path)
	if len(ending) == 0 || len(ending) > endingMax {
		return ""
	}
	var room [endingMax]byte
	return t.byEnding[string(lower(append(room[:0], ending...)))]
}

// endingOf is what follows the last "." of the last segment of path; a segment that
// begins with its only "." has none.
func endingOf(path []byte) []byte {
	for i := len(path) - 1; i > 1; i-- {
		switch {
		case path[i] == '/':
			return nil
		case path[i] == '.' && path[i-1] != '/':
			return path[i+1:]
		}
	}
	return nil
}

// contentType is the media type for URI (types), or fallback.
func (e *Env) contentType(fallback string) string {
	if e.carried.contentType != "" {
		return e.carried.contentType
	}
	types := defaultTypes
	if s := e.settings(); s != nil && s.Types != nil {
		types = s.Types
	}
	if found := types.find(e.URI); found != "" {
		return found
	}
	return fallback
}

func appendContentType(dst []byte, mediaType string) []byte {
	if mediaType == "" {
		return dst
	}
	dst = append(dst, "Content-Type: "...)
	dst = append(dst, mediaType...)
	return append(dst, "\r\n"...)
}
