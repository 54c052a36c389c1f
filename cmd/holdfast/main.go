// Command holdfast is an edge proxy that holds idle WebSockets cheaply and reads
// nginx.conf.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
)

// version is set when the release is built, by -ldflags "-X main.version=…".
var version = "dev"

func main() {
	os.Exit(run(os.Args[1:], streams{out: os.Stdout, err: os.Stderr}))
}

// streams are where a command writes: what was asked for to out, the rest to err.
type streams struct{ out, err io.Writer }

// errSaid ends a command with exit code 1 when everything to say has been said.
var errSaid = errors.New("failed")

// run executes one command line and returns the process's exit code: 0, or 1 for
// any failure, as nginx has it.
func run(args []string, io streams) int {
	root := newRoot(io)
	root.SetArgs(args)
	err := root.ExecuteContext(context.Background())
	if err == nil {
		return 0
	}
	if !errors.Is(err, errSaid) {
		fmt.Fprintf(io.err, "holdfast: %v\n", err)
	}
	return 1
}

func versionText() string {
	return fmt.Sprintf("holdfast/%s %s %s/%s", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
