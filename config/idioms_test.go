package config_test

import (
	"os"
	"path/filepath"
	"testing"

	"holdfast/config"
)

// TestIdioms loads the classic ways to write a WebSocket proxy: none may have any
// problem, not even a warning.
func TestIdioms(t *testing.T) {
	paths, err := filepath.Glob("testdata/idioms/*.conf")
	if err != nil || len(paths) < 5 {
		t.Fatalf("idioms: %v, %v", paths, err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		cfg, problems := config.LoadText(path, string(text), hermetic(nil))
		if len(problems) > 0 {
			t.Errorf("%s has problems: %v", path, problems)
			continue
		}
		for _, s := range cfg.HTTP.Servers {
			for _, l := range s.Locations {
				if l.ProxyPass == nil || l.ProxyPass.Upstream == nil {
					t.Errorf("%s has no upstream", l.Position)
				}
			}
		}
	}
}

// TestStockConfig loads what distributions ship around a site: warnings are fine,
// errors are not.
func TestStockConfig(t *testing.T) {
	text, err := os.ReadFile("testdata/stock.conf")
	if err != nil {
		t.Fatal(err)
	}
	opt := hermetic(map[string]string{"/testdata/mime.types": "types { text/html html htm; }\n"})
	if _, problems := config.LoadText("/testdata/stock.conf", string(text), opt); config.HasErrors(problems) {
		t.Errorf("problems:\n%s", lines(problems))
	}
}
