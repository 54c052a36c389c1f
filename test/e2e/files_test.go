package e2e_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"holdfast/test/blocks"
	"holdfast/test/proc"
	"holdfast/test/wire"
)

// fileServer serves a folder in the usual ways.
const fileServer = `
log_not_found off;
server {
    listen 127.0.0.1:{{port:front}};
    root {{site}}/root;
    index index.html index.htm;
    types { text/html html htm; text/css css; image/png png; }
    default_type application/octet-stream;
    location / { }
    location /copied/ { alias {{site}}/root/; sendfile off; }
    location /app/ { try_files $uri $uri/ /app/index.html; }
    location /api/ { try_files $uri @backend; }
    location /strict/ { try_files $uri $uri/index.html =404; }
    location /aliased/ { alias {{site}}/elsewhere/; }
    location ~ ^/re/(.+)\.txt$ { alias {{site}}/elsewhere/$1.html; }
    location /typed/ { alias {{site}}/elsewhere/; types { application/x-special html; } default_type text/x-default; }
    location /private/ { internal; }
    location @backend { proxy_pass http://{{backend}}; proxy_http_version 1.1; }
}`

const tenDigits = "0123456789"

func startFileServer(t *testing.T) (proc.Spec, string) {
	t.Helper()
	dir := site(t, map[string]string{
		"secret.txt": "the secret\n", "root/index.html": "the start\n", "root/digits.txt": tenDigits, "root/empty.css": "",
		"root/style.css": "body {}\n", "root/PICTURE.PNG": "png", "root/name with space.html": "space\n", "root/noext": "none\n",
		"root/folder/index.htm": "htm index\n", "root/bare/": "", "root/app/index.html": "the app\n", "root/app/page.html": "page\n",
		"root/app/sub/index.html": "sub index\n", "root/api/static.html": "static api\n", "root/strict/a/index.html": "strict a\n",
		"root/private/page.html": "private\n", "elsewhere/page.html": "elsewhere\n", "elsewhere/index.html": "elsewhere index\n",
		"elsewhere/data.bin": "data\n",
	})
	// A date is a strong validator only of a file that is not brand new (RFC 9110 section 8.8.2.2).
	old := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	if err := os.Chtimes(filepath.Join(dir, "root", "digits.txt"), old, old); err != nil {
		t.Fatal(err)
	}
	b := proc.NewBackend(t, mirror)
	return proc.Spec{HTTP: fileServer, Vars: map[string]string{"site": dir, "backend": b.Addr}}, dir
}

// Which file a path leads to, and what it says about itself.
func TestFiles(t *testing.T) {
	spec, dir := startFileServer(t)
	if err := os.Symlink("digits.txt", filepath.Join(dir, "root", "link.html")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", filepath.Join(dir, "root", "dangling.html")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "root", "fifo.html"), 0o666); err != nil {
		t.Fatal(err)
	}
	rows := []struct {
		target string
		status int
		body   string // whole; of an error a part
		kind   string // Content-Type
	}{
		{"/", 200, "the start\n", "text/html"},
		{"/?q=1", 200, "the start\n", "text/html"},
		{"/digits.txt", 200, tenDigits, "application/octet-stream"},
		{"/empty.css", 200, "", "text/css"},
		{"/style.css?v=3", 200, "body {}\n", "text/css"},
		{"/PICTURE.PNG", 200, "png", "image/png"},
		{"/noext", 200, "none\n", "application/octet-stream"},
		{"/name%20with%20space.html", 200, "space\n", "text/html"},
		{"/./app/../digits.txt", 200, tenDigits, "application/octet-stream"},
		{"//digits.txt", 200, tenDigits, "application/octet-stream"},
		{"/folder/", 200, "htm index\n", "text/html"},
		{"/link.html", 200, tenDigits, "text/html"},
		{"/copied/digits.txt", 200, tenDigits, "application/octet-stream"},
		{"/app/page.html", 200, "page\n", "text/html"},
		{"/app/no/such/page", 200, "the app\n", "text/html"},
		{"/app/sub/", 200, "sub index\n", "text/html"},
		{"/api/static.html", 200, "static api\n", "text/html"},
		{"/api/dynamic?x=1", 200, "GET /api/dynamic?x=1 HTTP/1.1\n", ""},
		{"/strict/a", 200, "strict a\n", "text/html"},
		{"/strict/b", 404, "404 Not Found", ""},
		{"/aliased/page.html", 200, "elsewhere\n", "text/html"},
		{"/aliased/", 200, "elsewhere index\n", "text/html"},
		{"/re/page.txt", 200, "elsewhere\n", "application/octet-stream"},
		{"/re/no-such.txt", 404, "404 Not Found", ""},
		{"/typed/page.html", 200, "elsewhere\n", "application/x-special"},
		{"/typed/data.bin", 200, "data\n", "text/x-default"},
		{"/bare/", 403, "403 Forbidden", ""},
		{"/no-such-file", 404, "404 Not Found", ""},
		{"/digits.txt/more", 404, "404 Not Found", ""},
		{"/dangling.html", 404, "404 Not Found", ""},
		{"/fifo.html", 404, "404 Not Found", ""},
		{"/private/page.html", 404, "404 Not Found", ""},
		{"/" + strings.Repeat("n", 300), 404, "404 Not Found", ""},
	}
	both(t, spec, func(t *testing.T, p *proc.Proxy) {
		p.Tolerate("not a regular file") // nginx about the FIFO
		c := proc.Dial(t, p.Front())
		for _, row := range rows {
			c.Send("HEAD " + row.target + " HTTP/1.1\r\nHost: test.example\r\n\r\n")
			head := c.Response(row.status)
			c.Send(get(row.target))
			h := c.Response(row.status)
			body := string(c.Body(h))
			if body != row.body && (row.status == 200 || !strings.Contains(body, row.body)) {
				t.Errorf("%s: body %q, want %q", row.target, body, row.body)
			}
			if row.kind == "" {
				continue
			}
			equal(t, "Content-Type of "+row.target, h.Get("Content-Type"), row.kind)
			equal(t, "Content-Length of HEAD "+row.target, head.ContentLength(), int64(len(row.body)))
			equal(t, "ETag of HEAD "+row.target, head.Get("ETag"), h.Get("ETag"))
			equal(t, "Accept-Ranges of "+row.target, h.Get("Accept-Ranges"), "bytes")
			if h.Get("Last-Modified") == "" || h.Get("ETag") == "" {
				t.Errorf("%s has no validators: %q", row.target, h.Raw)
			}
		}
	})
}

// A folder's name without its slash is redirected, with the arguments.
func TestFolderRedirects(t *testing.T) {
	spec, _ := startFileServer(t)
	both(t, spec, func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		base := "http://test.example:" + p.Port("front")
		for target, want := range map[string]string{
			"/folder": "/folder/", "/folder?a=b": "/folder/?a=b", "/app/sub": "/app/sub/", "/bare": "/bare/",
		} {
			c.Send(get(target))
			h := c.Response(301)
			c.Body(h)
			equal(t, "Location for "+target, h.Get("Location"), base+want)
		}
	})
}

// Only GET and HEAD read files; a refused body does not become the next request.
func TestMethodsOnFiles(t *testing.T) {
	spec, _ := startFileServer(t)
	both(t, spec, func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
			c.Send(method + " /digits.txt HTTP/1.1\r\nHost: x\r\nContent-Length: 31\r\n\r\nGET /secret HTTP/1.1\r\nHost: x\r\n")
			c.Body(c.Response(405))
			c.Send(get("/digits.txt"))
			equal(t, "body behind "+method, string(c.Body(c.Response(200))), tenDigits)
		}
		// The names of try_files may lead to an upstream, which takes any method.
		c.Send("POST /api/form HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
		equal(t, "answer", string(c.Body(c.Response(200))), "POST /api/form HTTP/1.1\nbody")
	})
}

// Ranges (RFC 9110 section 14).
func TestRanges(t *testing.T) {
	spec, _ := startFileServer(t)
	rows := []struct {
		ask    string
		status int
		body   string
		says   string // Content-Range
	}{
		{"bytes=0-0", 206, "0", "bytes 0-0/10"},
		{"bytes=2-4", 206, "234", "bytes 2-4/10"},
		{"bytes=7-", 206, "789", "bytes 7-9/10"},
		{"bytes=7-100", 206, "789", "bytes 7-9/10"},
		{"bytes=-3", 206, "789", "bytes 7-9/10"},
		{"bytes=-100", 206, tenDigits, "bytes 0-9/10"},
		{"bytes=0-9", 206, tenDigits, "bytes 0-9/10"},
		{"bytes=10-", 416, "", "bytes */10"},
		{"bytes=100-200", 416, "", "bytes */10"},
		{"bytes=-0", 416, "", "bytes */10"},
		{"lines=1-2", 200, tenDigits, ""},
	}
	both(t, spec, func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		ask := func(target string, fields ...string) wire.Head {
			t.Helper()
			c.Send(wire.Lines(append([]string{"GET " + target + " HTTP/1.1", "Host: x"}, fields...)...))
			return c.Head()
		}
		for _, target := range []string{"/digits.txt", "/copied/digits.txt"} {
			for _, row := range rows {
				h := ask(target, "Range: "+row.ask)
				body := string(c.Body(h))
				equal(t, "status of "+row.ask, h.Status(), row.status)
				equal(t, "Content-Range of "+row.ask, h.Get("Content-Range"), row.says)
				if row.status != 416 {
					equal(t, "body of "+row.ask, body, row.body)
				}
			}
			h := ask(target, "Range: bytes=0-1,4-5,-1")
			equal(t, "status", h.Status(), 206)
			kind, boundary, _ := strings.Cut(h.Get("Content-Type"), "; boundary=")
			equal(t, "Content-Type", kind, "multipart/byteranges")
			var want strings.Builder
			for _, part := range [][2]string{{"0-1", "01"}, {"4-5", "45"}, {"9-9", "9"}} {
				fmt.Fprintf(&want, "\r\n--%s\r\nContent-Type: application/octet-stream\r\nContent-Range: bytes %s/10\r\n\r\n%s",
					boundary, part[0], part[1])
			}
			equal(t, "parts", string(c.Body(h)), want.String()+"\r\n--"+boundary+"--\r\n")
		}
		// A range of another version of the file is not sent.
		h := ask("/digits.txt")
		c.Body(h)
		for validator, status := range map[string]int{
			h.Get("ETag"): 206, `"other"`: 200, h.Get("Last-Modified"): 206, "Thu, 01 Jan 1970 00:00:00 GMT": 200,
		} {
			h := ask("/digits.txt", "Range: bytes=0-0", "If-Range: "+validator)
			c.Body(h)
			equal(t, "status with If-Range: "+validator, h.Status(), status)
		}
	})
}

// Conditional requests (RFC 9110 section 13).
func TestConditionalRequests(t *testing.T) {
	spec, _ := startFileServer(t)
	both(t, spec, func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		ask := func(fields ...string) wire.Head {
			t.Helper()
			c.Send(wire.Lines(append([]string{"GET /digits.txt HTTP/1.1", "Host: x"}, fields...)...))
			return c.Head()
		}
		h := ask()
		c.Body(h)
		tag, date := h.Get("ETag"), h.Get("Last-Modified")
		equal(t, "ETag", tag, `"65e071c0-a"`)
		equal(t, "Last-Modified", date, "Thu, 29 Feb 2024 12:00:00 GMT")
		for _, row := range []struct {
			fields []string
			status int
		}{
			{[]string{"If-None-Match: " + tag}, 304},
			{[]string{"If-None-Match: W/" + tag}, 304},
			{[]string{`If-None-Match: "a", ` + tag}, 304},
			{[]string{"If-None-Match: *"}, 304},
			{[]string{`If-None-Match: "other"`}, 200},
			{[]string{"If-Modified-Since: " + date}, 304},
			{[]string{"If-Modified-Since: Thu, 01 Jan 1970 00:00:00 GMT"}, 200},
			{[]string{"If-Modified-Since: rubbish"}, 200},
			{[]string{"If-Modified-Since: " + date, `If-None-Match: "other"`}, 200},
			{[]string{"If-Match: " + tag}, 200},
			{[]string{"If-Match: *"}, 200},
			{[]string{`If-Match: "other"`}, 412},
			{[]string{"If-Unmodified-Since: " + date}, 200},
			{[]string{"If-Unmodified-Since: Thu, 01 Jan 1970 00:00:00 GMT"}, 412},
			{[]string{"If-None-Match: " + tag, "Range: bytes=0-1"}, 304},
		} {
			h := ask(row.fields...)
			if h.Status() != 304 {
				c.Body(h)
			}
			if h.Status() == 412 { // nginx closes then
				c.Close()
				c = proc.Dial(t, p.Front())
			}
			equal(t, fmt.Sprint("status with ", row.fields), h.Status(), row.status)
			if h.Status() == 304 {
				equal(t, "ETag of a 304", h.Get("ETag"), tag)
				equal(t, "Content-Length of a 304", h.Has("Content-Length"), false)
			}
		}
	})
}

// No way of writing a path leads out of the root.
func TestFilesOutsideTheRoot(t *testing.T) {
	spec, dir := startFileServer(t)
	both(t, spec, func(t *testing.T, p *proc.Proxy) {
		for _, target := range []string{
			"/../secret.txt", "/app/../../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/%2e%2e%2fsecret.txt",
			"/app/..%2f..%2f..%2fsecret.txt", "/app/%2e%2e/%2e%2e/secret.txt", "/..%5csecret.txt", "/..\\secret.txt",
			"/%252e%252e/secret.txt", "/aliased/../../secret.txt", "/aliased/..%2fsecret.txt", "/aliased..%2fsecret.txt",
			"/re/..%2fsecret.txt", "/re/../secret.txt", "/app/....//....//secret.txt", "/%c0%ae%c0%ae/secret.txt",
			"/.%00./secret.txt", "/secret.txt%00.html", "/..;/secret.txt", "/digits.txt/../../secret.txt", dir + "/secret.txt",
			"http://test.example/../secret.txt", "/api/..%2f..%2fsecret.txt", "/strict/..%2f..%2fsecret.txt",
		} {
			c := proc.Dial(t, p.Front())
			c.Send("GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n")
			h := c.Head()
			if body := string(c.Body(h)); strings.Contains(body, "the secret") || h.Status() == 500 {
				t.Errorf("%s: %q %q", target, h.Start, body)
			}
			c.Close()
		}
	})
}

// A file that the proxy may not read is a 403.
func TestUnreadableFile(t *testing.T) {
	spec, dir := startFileServer(t)
	spec.User = unprivileged()
	for name, mode := range map[string]os.FileMode{"digits.txt": 0o000, "app": 0o000, "folder/index.htm": 0o000} {
		if err := os.Chmod(filepath.Join(dir, "root", name), mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(dir, "root", "app"), 0o755) })
	both(t, spec, func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		for target, status := range map[string]int{"/digits.txt": 403, "/folder/": 403, "/style.css": 200} {
			c.Send(get(target))
			c.Body(c.Response(status))
		}
	})
}

// sparseFile makes a file of size bytes that is mostly holes, with a mark now and then.
func sparseFile(t *testing.T, name string, size int64) (sum string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	for at := int64(0); at+8 < size; at += 3_333_333 {
		if _, err := f.WriteAt(fmt.Appendf(nil, "%08x", at), at); err != nil {
			t.Fatal(err)
		}
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, f); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%x", hash.Sum(nil))
}

// A large file arrives whole: as fast as it goes, held back, and beside small answers.
func TestLargeFile(t *testing.T) {
	program(t, "curl")
	spec, dir := startFileServer(t)
	const medium = 8 << 20
	size := int64(200 << 20)
	if testing.Short() {
		size = 20 << 20
	}
	want := sparseFile(t, filepath.Join(dir, "root", "large.bin"), size)
	slowly := sparseFile(t, filepath.Join(dir, "root", "medium.bin"), medium)
	both(t, spec, func(t *testing.T, p *proc.Proxy) {
		for target, args := range map[string][]string{
			"/large.bin": nil, "/copied/large.bin": nil, "/medium.bin": {"--limit-rate", "8M"}, "/copied/medium.bin": {"--limit-rate", "8M"},
		} {
			sum, whole := want, size
			if strings.HasSuffix(target, "medium.bin") {
				sum, whole = slowly, medium
			}
			got := curlDigest(t, append(args, "http://"+p.Front()+target)...)
			equal(t, target, got, fmt.Sprintf("%s %d", sum, whole))
		}
		// A reader that stops in the middle holds up nobody and gets the rest later.
		slow := narrow(t, p.Front())
		slow.Send(get("/medium.bin"))
		body := slow.BodyReader(slow.Response(200))
		hash := sha256.New()
		for range 20 {
			_ = slow.Conn().SetDeadline(time.Now().Add(proc.Patience))
			if _, err := io.CopyN(hash, body, 100_000); err != nil {
				t.Fatal(err)
			}
			c := proc.Dial(t, p.Front())
			c.Send(get("/digits.txt") + get("/empty.css") + get("/style.css"))
			equal(t, "first", string(c.Body(c.Response(200))), tenDigits)
			equal(t, "second", string(c.Body(c.Response(200))), "")
			equal(t, "third", string(c.Body(c.Response(200))), "body {}\n")
			c.Close()
		}
		_ = slow.Conn().SetDeadline(time.Now().Add(2 * proc.Patience))
		if _, err := io.Copy(hash, body); err != nil {
			t.Fatal(err)
		}
		equal(t, "hash of the slow reader", fmt.Sprintf("%x", hash.Sum(nil)), slowly)
		slow.Send(get("/digits.txt"))
		equal(t, "the next answer", string(slow.Body(slow.Response(200))), tenDigits)
	})
}

// curlDigest is what digest says about what curl downloads.
func curlDigest(t *testing.T, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*proc.Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, program(t, "curl"), append([]string{"-q", "-sS", "--fail"}, args...)...)
	cmd.WaitDelay = proc.Patience
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	got, err := blocks.Digest(out)
	if err := errors.Join(err, cmd.Wait()); err != nil {
		t.Fatalf("curl %v: %v", args, err)
	}
	return got
}

// A file that shrinks while it is sent ends the connection short of the length: neither a
// hang nor an answer that looks whole.
func TestFileTruncatedWhileSent(t *testing.T) {
	spec, dir := startFileServer(t)
	for _, target := range []string{"/shrinks.bin", "/copied/shrinks.bin"} {
		both(t, spec, func(t *testing.T, p *proc.Proxy) {
			p.Tolerate("truncated") // nginx
			p.Tolerate("read only") // nginx without sendfile
			name := filepath.Join(dir, "root", "shrinks.bin")
			sparseFile(t, name, 64<<20)
			c := proc.Dial(t, p.Front())
			c.Send(get(target))
			h := c.Response(200)
			c.Read(100_000)
			if err := os.Truncate(name, 1<<20); err != nil {
				t.Fatal(err)
			}
			_ = c.Conn().SetReadDeadline(time.Now().Add(proc.Patience))
			n, err := io.Copy(io.Discard, c.BodyReader(h))
			if err == nil || os.IsTimeout(err) || n >= 64<<20 {
				t.Errorf("%s: %d bytes more, %v", target, n, err)
			}
			next := proc.Dial(t, p.Front())
			next.Send(get("/digits.txt"))
			equal(t, "the next answer", string(next.Body(next.Response(200))), tenDigits)
		})
	}
}

// Many files at once: descriptors are bounded and given back (the harness looks at them).
func TestManyFilesAtOnce(t *testing.T) {
	spec, dir := startFileServer(t)
	const size = 2 << 20
	want := sparseFile(t, filepath.Join(dir, "root", "medium.bin"), size)
	both(t, spec, func(t *testing.T, p *proc.Proxy) {
		p.Tolerate("too many files are open")
		const readers = 600 // more than a shard keeps open
		var clients []*proc.Raw
		for range readers {
			c := narrow(t, p.Front())
			c.Send(get("/medium.bin"))
			clients = append(clients, c)
		}
		statuses := map[int]int{}
		for i, c := range clients {
			h := c.Head()
			if c.Err() != nil {
				t.Fatal(c.Err())
			}
			statuses[h.Status()]++
			if i%60 != 0 || h.Status() != 200 {
				c.Close()
				continue
			}
			got, err := blocks.Digest(c.BodyReader(h))
			if err != nil || got != fmt.Sprintf("%s %d", want, size) {
				t.Errorf("reader %d: %s, %v", i, got, err)
			}
			c.Close()
		}
		for status := range statuses {
			if status != 200 && status != 503 {
				t.Errorf("statuses %v", statuses)
			}
		}
		if statuses[200] < 200 {
			t.Errorf("statuses %v", statuses)
		}
	})
}

var boundaryPattern = regexp.MustCompile(`^[0-9A-Za-z]{1,70}$`)

// Too many or overlapping ranges don't make a small file a large answer.
func TestRangeBomb(t *testing.T) {
	spec, _ := startFileServer(t)
	both(t, spec, func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		for _, ranges := range []string{
			strings.Repeat("0-,", 1200) + "0-", strings.Repeat("0-0,", 1200) + "0-0", strings.Repeat("0-9,", 100) + "0-9", "5-,0-4,2-8",
		} {
			c.Send(wire.Lines("GET /digits.txt HTTP/1.1", "Host: x", "Range: bytes="+ranges))
			h := c.Head()
			body := c.Body(h)
			if len(body) > 10_000 || h.Status() != 200 && h.Status() != 206 && h.Status() != 416 {
				t.Errorf("%.20s…: %q and %d bytes", ranges, h.Start, len(body))
			}
			if _, boundary, ok := strings.Cut(h.Get("Content-Type"), "boundary="); ok && !boundaryPattern.MatchString(boundary) {
				t.Errorf("boundary %q", boundary)
			}
		}
	})
}
