package main

import (
	"fmt"
	"os"

	"github.com/schollz/progressbar/v3"
)

// bar is the progress on standard error: a bar on a terminal, lines in a log.
type bar struct {
	pb    *progressbar.ProgressBar
	quiet bool
}

// newBar counts the measurements of all rounds.
func newBar(quiet bool, cells []cell, c []Contender, s scale) *bar {
	info, err := os.Stderr.Stat()
	if quiet || err != nil || info.Mode()&os.ModeCharDevice == 0 {
		return &bar{quiet: quiet}
	}
	total := 0
	for _, cell := range cells {
		rounds := s.Rounds
		if cell.hold {
			rounds = min(rounds, s.HoldRounds)
		}
		total += rounds * len(cell.who(c))
	}
	return &bar{pb: progressbar.NewOptions(total, progressbar.OptionSetWriter(os.Stderr),
		progressbar.OptionSetWidth(30), progressbar.OptionShowCount(), progressbar.OptionClearOnFinish())}
}

// step says what is being measured, or counts one that is done.
func (b *bar) step(text string, done bool) {
	switch {
	case b.quiet:
	case b.pb == nil && !done:
		fmt.Fprintln(os.Stderr, text)
	case b.pb == nil:
	case done:
		_ = b.pb.Add(1)
	default:
		b.pb.Describe(text)
	}
}

func (b *bar) end() {
	if b.pb != nil {
		_ = b.pb.Finish()
	}
}
