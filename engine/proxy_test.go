package engine

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// proxyCase is one request, and what the client gets: status, fields, body, trailers.
type proxyCase struct {
	method, target string
	// reply is what the upstream answers: fields with "|" between them, perhaps after "!" and a
	// status, or "~" for a body that the connection's end delimits.
	reply string
	body  string
	want  string
}

// TestProxyHeads has nginx and holdfast pass on the same requests and responses.
func TestProxyHeads(t *testing.T) {
	dir := worldDir(t)
	withSite(t, dir)
	replyBackend(t, dir)
	ours := launch(t, dir, "worker_processes 1; pid DIR/pid; error_log DIR/error.log info;\n"+
		"events { worker_connections 64; }\nhttp { access_log off;\n"+proxySite+"\n}\n")
	listens(t, dir, ours.ended)
	for i := range proxyCases {
		c := &proxyCases[i]
		if got := c.ask(t, dir); got != c.want {
			t.Errorf("holdfast: %s %s %q:\n got %q\nwant %q", c.method, c.target, c.reply, got, c.want)
		}
	}
	dir = startNginx(t, proxySite)
	if dir == "" {
		return
	}
	replyBackend(t, dir)
	for i := range proxyCases {
		c := &proxyCases[i]
		if got := c.ask(t, dir); got != c.want {
			t.Errorf("nginx: %s %s %q:\n got %q\nwant %q", c.method, c.target, c.reply, got, c.want)
		}
	}
}

// dull are the fields of answers that are not compared.
var dull = []string{"Date", "Server", "Connection", "Content-Length", "Transfer-Encoding", "Etag", "User-Agent", "Accept-Encoding", "X-Reply"}

// summary is fields in order, without dull ones.
func summary(fields http.Header) string {
	var lines []string
	for name, values := range fields {
		for _, value := range values {
			if !slices.Contains(dull, name) && name != "Last-Modified" {
				lines = append(lines, name+": "+value)
			}
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "|")
}

func (c *proxyCase) ask(t *testing.T, dir string) string {
	t.Helper()
	client := &http.Client{
		Timeout: patience, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DisableKeepAlives: true, DisableCompression: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", dir+"/front")
			},
		},
	}
	req, err := http.NewRequest(c.method, "http://front.test:99"+c.target, strings.NewReader(c.body))
	must(t, err)
	if c.reply != "" {
		req.Header.Set("X-Reply", strings.ReplaceAll(c.reply, "DIR", dir))
	}
	resp, err := client.Do(req)
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	text := string(body)
	switch {
	case strings.Contains(text, "<html>"):
		text = "PAGE"
	case strings.HasPrefix(text, "GIF89a"):
		text = fmt.Sprintf("%x", text)
	}
	got := strings.Join([]string{
		strconv.Itoa(resp.StatusCode), summary(resp.Header), text, summary(resp.Trailer),
	}, " / ")
	return strings.ReplaceAll(got, dir, "DIR")
}

// replyBackend answers at DIR/back with what it was asked.
func replyBackend(t *testing.T, dir string) {
	t.Helper()
	ln, err := net.Listen("unix", filepath.Join(dir, "back"))
	must(t, err)
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go echoOnce(conn)
		}
	}()
}

func echoOnce(conn net.Conn) {
	defer conn.Close()
	req, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	text := fmt.Sprintf("%s %s [%s] %s", req.Method, req.RequestURI, summary(req.Header), body)
	status, lines := "200", ""
	open := false
	for field := range strings.SplitSeq(req.Header.Get("X-Reply"), "|") {
		if after, found := strings.CutPrefix(field, "!"); found {
			status = after
		} else if field == "~" {
			open = true
		} else if field != "" {
			lines += field + "\r\n"
		}
	}
	if !open {
		lines += "Content-Length: " + strconv.Itoa(len(text)) + "\r\n"
	}
	if req.Method == "HEAD" {
		text = ""
	}
	fmt.Fprintf(conn, "HTTP/1.1 %s X\r\n%sConnection: close\r\n\r\n%s", status, lines, text)
}
