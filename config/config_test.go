package config_test

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/fstest"

	"holdfast/config"
)

var errUnknown = errors.New(`unknown variable "nosuch"`)

// hermetic are options that ask nothing of the machine: files come from files, and
// only the names known here resolve.
func hermetic(files map[string]string) config.Options {
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[strings.TrimPrefix(name, "/")] = &fstest.MapFile{Data: []byte(text)}
	}
	return config.Options{
		ReadFile: func(path string) ([]byte, error) {
			data, err := fsys.ReadFile(strings.TrimPrefix(path, "/"))
			if err != nil {
				return nil, errors.New("no such file")
			}
			return data, nil
		},
		Glob: func(pattern string) ([]string, error) {
			paths, err := fsys.Glob(strings.TrimPrefix(pattern, "/"))
			for i := range paths {
				paths[i] = "/" + paths[i]
			}
			return paths, err
		},
		Resolve: func(host string) ([]netip.Addr, error) {
			switch host {
			case "localhost":
				return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::1")}, nil
			case "backend.test":
				return []netip.Addr{netip.MustParseAddr("192.0.2.7")}, nil
			}
			return nil, errors.New("no such host")
		},
		Geteuid: func() int { return 1000 },
	}
}

// mustLoad loads a text that must have no problem at all.
func mustLoad(t *testing.T, text string) *config.Config {
	t.Helper()
	cfg, problems := config.LoadText("/etc/h/nginx.conf", text, hermetic(nil))
	for _, p := range problems {
		t.Errorf("unexpected: %s", p)
	}
	if cfg == nil {
		t.FailNow()
	}
	return cfg
}

// inHTTP wraps directives of the http context.
func inHTTP(text string) string { return "http {\n" + text + "\n}\n" }

// inServer wraps directives of a server.
func inServer(text string) string { return inHTTP("server { listen 8080;\n" + text + "\n}") }

// lines prints problems without the file's name, one per line.
func lines(problems []config.Problem) string {
	var b strings.Builder
	for _, p := range problems {
		b.WriteString(strings.TrimPrefix(p.String(), "/etc/h/") + "\n")
	}
	return b.String()
}
