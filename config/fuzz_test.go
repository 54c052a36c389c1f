package config_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/config"
)

// FuzzConfig loads any text: no panic, a verdict that fits the problems, and every
// problem at a line that exists.
func FuzzConfig(f *testing.F) {
	for _, body := range append(append([]string{}, verdicts.good...), verdicts.bad...) {
		f.Add("http { " + strings.NewReplacer("PORT", "8080", "DIR", "/d").Replace(body) + " }")
	}
	for _, body := range append(append([]string{}, newer.good...), newer.bad...) {
		f.Add("http { " + strings.ReplaceAll(body, "PORT", "8080") + " }")
	}
	for _, list := range [][]string{streamVerdicts.good, streamVerdicts.bad, newerStream.good, newerStream.bad} {
		for _, body := range list {
			f.Add("stream { " + strings.NewReplacer("PORT", "8080", "DIR", "/d").Replace(body) + " }")
		}
	}
	f.Add("http { server { listen 1; tunnel_pass; tunnel_allow_ports 1-5 all; tunnel_allow_hosts .a ~b; resolver 127.0.0.1 valid=5s; } }")
	for _, pattern := range []string{badFolder + "/*.conf", "testdata/idioms/*.conf"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			f.Fatal(pattern, err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(string(text))
		}
	}
	f.Add("include a; include *; events { worker_connections 1; }")
	f.Fuzz(func(t *testing.T, text string) {
		opt := hermetic(map[string]string{"/a": "pid x; include b;", "/b": "http { include a; server { listen 1-3; } }"})
		opt.CheckText = func([]string) func(string) error { return func(string) error { return nil } }
		cfg, problems := config.LoadText("/nginx.conf", text, opt)
		if (cfg == nil) != config.HasErrors(problems) {
			t.Errorf("config is nil: %v, problems: %v", cfg == nil, problems)
		}
		for _, p := range problems {
			if p.Text == "" || p.Line < 1 || p.File == "/nginx.conf" && p.Line > strings.Count(text, "\n")+1 {
				t.Errorf("bad problem: %+v", p)
			}
		}
		if cfg == nil {
			return
		}
		for _, li := range cfg.HTTP.Listeners {
			if li.Default == nil || len(li.Servers) == 0 {
				t.Errorf("listener without server: %+v", li)
			}
		}
		for _, u := range cfg.HTTP.Upstreams {
			if len(u.Servers) == 0 || len(u.Servers[0].Addrs) == 0 && !u.Servers[0].Resolve {
				t.Errorf("upstream without address: %+v", u)
			}
		}
	})
}
