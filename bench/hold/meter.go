package main

import (
	"fmt"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/sys/unix"
)

// meter shows how far the clients are: a bar on a terminal, elsewhere a line now and then.
// The function it returns ends it.
func (c *course) meter(what string, total int) (stop func()) {
	end, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		if _, err := unix.IoctlGetTermios(int(os.Stderr.Fd()), unix.TCGETS); err == nil {
			c.bar(what, total, end)
		} else {
			c.lines(what, total, end)
		}
	}()
	return func() { close(end); <-ended }
}

func (c *course) bar(what string, total int, end chan struct{}) {
	bar := progressbar.NewOptions(total, progressbar.OptionSetWriter(os.Stderr), progressbar.OptionShowCount(),
		progressbar.OptionShowIts(), progressbar.OptionSetDescription(fmt.Sprintf("%s: %s", c.r.Peer, what)),
		progressbar.OptionOnCompletion(func() { fmt.Fprintln(os.Stderr) }))
	ticker := time.NewTicker(time.Second / 4)
	defer ticker.Stop()
	for {
		_ = bar.Set(c.clients.done())
		select {
		case <-end:
			_ = bar.Set(c.clients.done())
			_ = bar.Exit()
			return
		case <-ticker.C:
		}
	}
}

// linesEvery is the pause between lines.
const linesEvery = 5 * time.Second

func (c *course) lines(what string, total int, end chan struct{}) {
	ticker := time.NewTicker(linesEvery)
	defer ticker.Stop()
	for last := 0; ; {
		select {
		case <-end:
			return
		case <-ticker.C:
		}
		done := c.clients.done()
		free, _ := available()
		c.say("%s %d of %d, %.0f a second, %.1f GiB available", what, done, total,
			float64(done-last)/linesEvery.Seconds(), float64(free)/(1<<30))
		last = done
	}
}
