package admin

import (
	"bytes"
	"compress/gzip"
	"time"
)

// gatherer holds lines back until there is a buffer full of them, or until they have waited
// long enough (access_log buffer= flush= gzip=). It is the writer's own.
type gatherer struct {
	max     int           // bytes of lines that are written at once; 0 gathers nothing
	flush   time.Duration // the longest wait; 0 means no limit
	lines   []byte
	since   time.Time // when the first of the lines came
	deflate *gzip.Writer
	packed  bytes.Buffer
}

func newGatherer(t *Target) gatherer {
	g := gatherer{max: t.Buffer, flush: t.Flush}
	if t.Gzip > 0 {
		g.deflate, _ = gzip.NewWriterLevel(nil, t.Gzip) // the level was checked
	}
	return g
}

// add takes the lines of b that fit, as nginx does: a line that does not fit has what is
// gathered written first; one larger than the buffer is written by itself.
func (g *gatherer) add(b []byte, write func(lines []byte)) {
	for len(b) > 0 {
		if len(g.lines) == 0 {
			g.since = time.Now()
		}
		n := g.fits(b)
		g.lines = append(g.lines, b[:n]...)
		b = b[n:]
		if len(b) > 0 && len(g.lines) > 0 {
			g.write(write)
		} else if len(b) > 0 {
			n = bytes.IndexByte(b, '\n') + 1
			if n == 0 {
				n = len(b)
			}
			write(g.pack(b[:n]))
			b = b[n:]
		}
	}
}

// fits is the length of the whole lines of b that fit.
func (g *gatherer) fits(b []byte) int {
	room := g.max - len(g.lines)
	if len(b) <= room {
		return len(b)
	}
	return bytes.LastIndexByte(b[:max(room, 0)], '\n') + 1
}

// write writes what is gathered.
func (g *gatherer) write(write func(lines []byte)) {
	if len(g.lines) == 0 {
		return
	}
	write(g.pack(g.lines))
	g.lines = g.lines[:0]
}

// pack compresses lines into a gzip member of their own, if that is asked for: a file cut
// anywhere between two can be read. The result is valid until the next call.
func (g *gatherer) pack(lines []byte) []byte {
	if g.deflate == nil {
		return lines
	}
	g.packed.Reset()
	g.deflate.Reset(&g.packed)
	_, _ = g.deflate.Write(lines) // a buffer takes everything
	_ = g.deflate.Close()
	return g.packed.Bytes()
}

// wait is how long the gathered lines may still wait; ok is false if nothing limits that.
func (g *gatherer) wait() (left time.Duration, ok bool) {
	if len(g.lines) == 0 || g.flush == 0 {
		return 0, false
	}
	return g.flush - time.Since(g.since), true
}
