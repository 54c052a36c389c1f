// Command backend is the origin server of the benches, as a process: it prints one line
//
//	{"address":"127.0.0.1:PORT"}
//
// and serves until its standard input ends or it gets SIGTERM.
//
//   - A request without Upgrade gets 128 bytes; /b/N gets N bytes. Connections are kept.
//   - Upgrade: websocket is an echo: frames come back as they were, unmasked, streamed;
//     Ping as Pong. Any other Upgrade token is an echo of the bytes as they are.
//   - /source?frame=F&bytes=N, upgraded: after the client's first byte, N bytes of payload
//     in binary frames of F bytes; without frames where the token is not websocket.
//   - /sink?bytes=N, upgraded: reads N bytes of payload and answers with their number in
//     8 bytes, big endian; one binary message where the token is websocket.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"holdfast/bench/load/origin"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:0", "address to listen on; port 0 lets the kernel choose")
	loops := flag.Int("loops", 1, "event loops, each on a thread of its own")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "backend: unexpected argument", flag.Arg(0))
		os.Exit(2)
	}
	// The scheduler takes a loop's processor away where there is none to spare.
	runtime.GOMAXPROCS(*loops + 2)
	// Loops don't allocate in traffic; a collection would be noise in the measurement.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(4 << 30)
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	if err := run(*listen, *loops, os.Stdin, os.Stdout, stop); err != nil {
		fmt.Fprintln(os.Stderr, "backend:", err)
		os.Exit(1)
	}
}

// run serves until in ends or a signal comes.
func run(listen string, loops int, in io.Reader, out io.Writer, stop <-chan os.Signal) error {
	s, err := origin.Listen(listen, loops)
	if err != nil {
		return err
	}
	defer s.Close()
	line := struct {
		Address string `json:"address"`
	}{s.Addr()}
	if err := json.NewEncoder(out).Encode(line); err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, in)
		close(ended)
	}()
	select {
	case <-stop:
	case <-ended:
	}
	return nil
}
