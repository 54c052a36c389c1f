package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/test/blocks"
	"holdfast/test/proc"
)

// matrixStep is one transfer of the matrix.
type matrixStep struct {
	direction string // down or up
	framing   string // length or chunked
	size      int64
}

// String is the step as the scripts read it, with the hash that the body must have.
func (s matrixStep) String() string {
	hash, _, _ := strings.Cut(blocks.DigestOf(s.size), " ")
	return fmt.Sprintf("%s:%s:%d:%s", s.direction, s.framing, s.size, hash)
}

func (s matrixStep) target() string {
	if s.direction == "up" {
		return "/up"
	}
	return fmt.Sprintf("/down?size=%d&framing=%s", s.size, s.framing)
}

// matrixSteps are the transfers of sizes in both directions and both framings.
func matrixSteps(sizes ...int64) []matrixStep {
	var steps []matrixStep
	for _, direction := range []string{"down", "up"} {
		for _, framing := range []string{"length", "chunked"} {
			for _, size := range sizes {
				steps = append(steps, matrixStep{direction, framing, size})
			}
		}
	}
	return steps
}

// matrixClient runs the steps one after the other through the proxy at address.
type matrixClient func(t *testing.T, address string, steps []matrixStep)

var matrixClients = map[string]matrixClient{
	"curl_1.1": func(t *testing.T, address string, steps []matrixStep) { curlSteps(t, address, "--http1.1", steps) },
	"curl_1.0": func(t *testing.T, address string, steps []matrixStep) { curlSteps(t, address, "--http1.0", steps) },
	"undici": func(t *testing.T, address string, steps []matrixStep) {
		script := filepath.Join(clientsDir, "undici_client.js")
		scriptSteps(t, steps, node(t, "undici"), script, "http://"+address)
	},
	"http.client": func(t *testing.T, address string, steps []matrixStep) {
		script := filepath.Join(clientsDir, "http_client.py")
		scriptSteps(t, steps, pythonWith(t, "http.client"), "-B", script, "http.client", address)
	},
	"requests": func(t *testing.T, address string, steps []matrixStep) {
		script := filepath.Join(clientsDir, "http_client.py")
		scriptSteps(t, steps, pythonWith(t, "requests"), "-B", script, "requests", address)
	},
	"go": goSteps,
}

// pythonWith finds a Python that has a package: Debian's own one first, since what apt
// installs belongs to that.
func pythonWith(t *testing.T, pythonPackage string) string {
	t.Helper()
	for _, name := range []string{"/usr/bin/python3", "python3"} {
		if path, err := exec.LookPath(name); err == nil && exec.Command(path, "-c", "import "+pythonPackage).Run() == nil {
			return path
		}
	}
	proc.Skip(t, "no python3 with the package "+pythonPackage)
	return ""
}

// scriptSteps runs a script that takes the steps as its last arguments.
func scriptSteps(t *testing.T, steps []matrixStep, path string, args ...string) {
	t.Helper()
	for _, step := range steps {
		args = append(args, step.String())
	}
	equal(t, "output", run(t, path, args...), fmt.Sprintf("ok %d\n", len(steps)))
}

// curlSteps runs curl: once for all downloads, once for the uploads with a length, and
// once for each chunked upload, which it reads from its standard input.
func curlSteps(t *testing.T, address, version string, steps []matrixStep) {
	t.Helper()
	path, dir := program(t, "curl"), t.TempDir()
	groups := map[string][]matrixStep{}
	for _, step := range steps {
		if step.direction == "up" && step.framing == "chunked" {
			if version == "--http1.1" { // HTTP/1.0 has no chunks
				curlChunked(t, path, address, step)
			}
			continue
		}
		groups[step.direction] = append(groups[step.direction], step)
	}
	for direction, steps := range groups {
		args := []string{"-q", "-sS", version, "--fail", "-w", "%{http_version} %{num_connects}\n"}
		if direction == "up" && version == "--http1.1" {
			args = append(args, "-H", "Expect: 100-continue")
		}
		for i, step := range steps {
			args = append(args, "-o", filepath.Join(dir, fmt.Sprint(direction, i)))
			if direction == "up" {
				args = append(args, "-T", bodyFile(t, dir, step.size))
			}
			args = append(args, "http://"+address+step.target())
		}
		said := run(t, path, args...)
		// One connection for all in HTTP/1.1, one for each in HTTP/1.0.
		want := strings.Repeat("1.1 1\n", len(steps))
		if version == "--http1.1" {
			want = "1.1 1\n" + strings.Repeat("1.1 0\n", len(steps)-1)
		}
		equal(t, "connections", said, want)
		for i, step := range steps {
			checkAnswer(t, step, filepath.Join(dir, fmt.Sprint(direction, i)))
		}
	}
}

// checkAnswer looks at what curl wrote to a file.
func checkAnswer(t *testing.T, step matrixStep, name string) {
	t.Helper()
	f, err := os.Open(name)
	if os.IsNotExist(err) && step.direction == "down" && step.size == 0 {
		return // curl makes no file for nothing
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var got string
	if step.direction == "up" {
		text, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		got = string(text)
	} else if got, err = blocks.Digest(f); err != nil {
		t.Fatal(err)
	}
	equal(t, step.String(), got, blocks.DigestOf(step.size))
}

func bodyFile(t *testing.T, dir string, size int64) string {
	t.Helper()
	name := filepath.Join(dir, fmt.Sprint("body", size))
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(f, blocks.New(size)); err != nil {
		t.Fatal(err)
	}
	return name
}

// curlChunked uploads from standard input, where curl can't know the length.
func curlChunked(t *testing.T, path, address string, step matrixStep) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*proc.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "-q", "-sS", "--fail", "-H", "Expect: 100-continue", "-T", "-",
		"http://"+address+step.target())
	cmd.WaitDelay = proc.Patience
	cmd.Stdin = blocks.New(step.size)
	var said, complained bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &complained
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v: %s", step, err, complained.String())
	}
	equal(t, step.String(), said.String(), blocks.DigestOf(step.size))
}

// goSteps runs the steps by Go's net/http, the uploads with Expect.
func goSteps(t *testing.T, address string, steps []matrixStep) {
	t.Helper()
	dials := 0
	transport := &http.Transport{
		ExpectContinueTimeout: proc.Patience,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			dials++
			var d net.Dialer
			return d.DialContext(ctx, network, address)
		},
	}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 3 * proc.Patience}
	for _, step := range steps {
		if err := goStep(client, "http://"+address+step.target(), step); err != nil {
			t.Fatalf("%v: %v", step, err)
		}
	}
	// Go reuses no connection whose request it does not know to be written 50 ms after the
	// answer, which happens on a busy machine.
	if dials > 1+len(steps)/4 {
		t.Errorf("%d connections for %d requests", dials, len(steps))
	}
}

func goStep(client *http.Client, url string, step matrixStep) error {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if step.direction == "up" {
		req, err = http.NewRequest(http.MethodPost, url, struct{ io.Reader }{blocks.New(step.size)})
		if step.framing == "length" {
			req.ContentLength = step.size
		}
		req.Header.Set("Expect", "100-continue")
		if req.ContentLength == 0 && step.framing == "length" {
			req.Body = http.NoBody
			req.Header.Del("Expect")
		}
	}
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %s", resp.Status)
	}
	if step.direction == "up" {
		text, err := io.ReadAll(resp.Body)
		if err == nil && string(text) != blocks.DigestOf(step.size) {
			err = fmt.Errorf("got %s", text)
		}
		return err
	}
	if step.framing == "length" && resp.ContentLength != step.size {
		return fmt.Errorf("Content-Length %d", resp.ContentLength)
	}
	got, err := blocks.Digest(resp.Body)
	if err == nil && got != blocks.DigestOf(step.size) {
		err = fmt.Errorf("got %s", got)
	}
	return err
}

// matrixProxy passes everything on with the default buffering, and on a second port
// without any.
const matrixProxy = `
upstream origin {
    server {{origin}};
    keepalive 16;
}
client_max_body_size 0;
proxy_http_version 1.1;
proxy_set_header Connection "";
server {
    listen 127.0.0.1:{{port:front}};
    location / { proxy_pass http://origin; }
}
server {
    listen 127.0.0.1:{{port:streamed}};
    proxy_request_buffering off;
    proxy_buffering off;
    location / { proxy_pass http://origin; }
}`

// Every client with every server, bodies around the edges of the usual buffers, both
// ways and in both framings; every client keeps its connection, and so does the proxy
// its own.
func TestMatrixOfHTTPClientsAndServers(t *testing.T) {
	steps := matrixSteps(0, 1, 16<<10-1, 16<<10+1, 1<<20)
	for server, start := range matrixServers {
		t.Run(server, func(t *testing.T) {
			spec := proc.Spec{HTTP: matrixProxy, Vars: map[string]string{"origin": start(t)}}
			both(t, spec, func(t *testing.T, p *proc.Proxy) {
				for client, transfer := range matrixClients {
					t.Run(client, func(t *testing.T) { transfer(t, p.Front(), steps) })
				}
				t.Run("streamed", func(t *testing.T) { goSteps(t, p.Addr("streamed"), steps) })
				t.Run("wrk", func(t *testing.T) { shortWrk(t, p.Front()) })
				if p.Kind == proc.Holdfast {
					sum := p.Status(t).Totals
					if sum.UpstreamConnects > sum.Requests/4 {
						t.Errorf("%d upstream connections for %d requests", sum.UpstreamConnects, sum.Requests)
					}
				}
			})
		})
	}
}

// shortWrk is a second of load.
func shortWrk(t *testing.T, address string) {
	t.Helper()
	out := run(t, program(t, "wrk"), "-t1", "-c16", "-d1s", "--timeout", "30s", "http://"+address+"/down?size=1000&framing=length")
	if strings.Contains(out, "Socket errors") || strings.Contains(out, "Non-2xx") || !strings.Contains(out, "requests in") {
		t.Errorf("wrk says:\n%s", out)
	}
}

// Large bodies, for which one client a server is enough.
func TestMatrixOfLargeBodies(t *testing.T) {
	steps := matrixSteps(64<<20, 256<<20)
	if testing.Short() {
		steps = matrixSteps(8 << 20)
	}
	for server, client := range map[string]string{"go": "curl_1.1", "node": "undici", "python": "go"} {
		t.Run(server, func(t *testing.T) {
			p := holdfast(t, proc.Spec{HTTP: matrixProxy, Vars: map[string]string{"origin": matrixServers[server](t)}})
			matrixClients[client](t, p.Front(), steps)
		})
	}
}
