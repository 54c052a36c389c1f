package config_test

import (
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"holdfast/config"
	"holdfast/engine"
)

// badFolder holds configurations with something wrong in them, each with a file of the same
// name that has what is said about it.
const badFolder = "testdata/bad"

// checkBad says what `holdfast check` says about a file, with names below badFolder.
func checkBad(t *testing.T, path string) []config.Problem {
	t.Helper()
	opt := hermetic(nil)
	opt.ReadFile, opt.Glob = nil, nil
	opt.Resolve = func(string) ([]netip.Addr, error) { return nil, errors.New("no such host") }
	opt.CheckText, opt.CheckStreamText = engine.CheckText, engine.CheckStreamText
	cfg, problems := config.Load(path, opt)
	if cfg != nil {
		problems = append(problems, engine.Check(cfg)...)
	}
	return problems
}

func badFiles(t *testing.T) []string {
	t.Helper()
	paths, err := filepath.Glob(badFolder + "/*.conf")
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) < 120 {
		t.Fatalf("%d files in %s", len(paths), badFolder)
	}
	return paths
}

// TestBadFiles compares what is said about each of the files with its golden answer: file and
// line, the offending word, and what is allowed there. -update writes the answers.
func TestBadFiles(t *testing.T) {
	here, err := filepath.Abs(badFolder)
	if err != nil {
		t.Fatal(err)
	}
	below := strings.NewReplacer(here+"/", "", badFolder+"/", "")
	for _, path := range badFiles(t) {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".conf"), func(t *testing.T) {
			problems := checkBad(t, path)
			if !config.HasErrors(problems) {
				t.Error("it is accepted")
			}
			var b strings.Builder
			for _, p := range problems {
				b.WriteString(below.Replace(p.String()) + "\n")
			}
			golden := strings.TrimSuffix(path, ".conf") + ".golden"
			if config.Update() {
				if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), b.String()); diff != "" {
				t.Errorf("problems (-want +got); -update writes them:\n%s", diff)
			}
		})
	}
}

// remark is what the first line of a bad file says about nginx:
//
//	# nginx: accepts: REASON   nginx takes the file
//	# nginx: elsewhere: REASON nginx refuses it, but not at a line that holdfast names
//	# nginx: unknown: WORD     the installed nginx does not have the word
//
// Without one nginx refuses it at a line that holdfast names, too.
var remark = regexp.MustCompile(`^[^\n]*# nginx: (accepts|elsewhere|unknown): `)

// verdictLine is where nginx puts what it refuses.
var verdictLine = regexp.MustCompile(`\[emerg\][^\n]* in ([^\n ]+):(\d+)\n`)

// TestBadFilesOfNginx asks the installed nginx about each of the bad files: what it refuses is
// refused here, at its line, but for the exceptions that a file names.
func TestBadFilesOfNginx(t *testing.T) {
	const module = "/usr/lib/nginx/modules/ngx_stream_module.so"
	nginx, err := exec.LookPath("nginx")
	if _, noModule := os.Stat(module); err != nil || noModule != nil {
		if os.Getenv("HOLDFAST_REQUIRE_PEERS") == "1" {
			t.Fatal("nginx with its stream module is not installed, and HOLDFAST_REQUIRE_PEERS=1")
		}
		t.Skip("nginx with its stream module is not installed")
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(badFolder)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "logs"), 0o700); err != nil {
		t.Fatal(err)
	}
	temporary := strings.NewReplacer("DIR", dir, "\n", " ").Replace(nginxFlags)
	for _, path := range badFiles(t) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		kind := ""
		if found := remark.FindSubmatch(text); found != nil {
			kind = string(found[1])
		}
		conf := filepath.Join(dir, filepath.Base(path))
		if strings.Contains(string(text), "\nstream {") {
			text = append([]byte("load_module "+module+"; "), text...)
		}
		text = []byte(strings.Replace(string(text), "http {\n", "http { "+temporary+"\n", 1))
		if err := os.WriteFile(conf, text, 0o600); err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(path), ".conf"), func(t *testing.T) {
			out := askNginx(t, nginx, conf)
			refused := !strings.Contains(out, "test is successful")
			if refused == (kind == "accepts") {
				t.Fatalf("nginx refuses it: %v, the file says otherwise\n%s", refused, out)
			}
			if at := verdictLine.FindStringSubmatch(out); at != nil && kind == "" {
				compareLines(t, checkBad(t, path), strings.TrimPrefix(at[1], dir+"/"), at[2], out)
			}
		})
	}
}

func askNginx(t *testing.T, nginx, conf string) string {
	t.Helper()
	dir := filepath.Dir(conf)
	globals := "error_log stderr;"
	if !strings.Contains(conf, "pid") {
		globals += " pid " + dir + "/nginx.pid;"
	}
	out, err := exec.Command(nginx, "-t", "-p", dir, "-c", conf, "-e", "stderr", "-g", globals).CombinedOutput()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	return string(out)
}

// compareLines checks that one of the errors is where nginx saw the first.
func compareLines(t *testing.T, problems []config.Problem, file, line, out string) {
	t.Helper()
	number, err := strconv.Atoi(line)
	if err != nil {
		t.Fatal(err)
	}
	same := func(p config.Problem) bool {
		return p.Severity == config.Error && strings.TrimPrefix(p.File, badFolder+"/") == file && p.Line == number
	}
	if !slices.ContainsFunc(problems, same) {
		t.Errorf("no error at %s:%d, where nginx has one\n%s%s", file, number, out, lines(problems))
	}
}
