package tidy_test

import (
	"path"
	"regexp"
	"strings"
	"testing"

	"holdfast/internal/tidy"
)

// policy is who may import whom. The rows stand in the order of the data's way,
// leaves first: a folder may import only what its row names. A rule that has to
// change is changed here, in a commit that says why.
var policy = tidy.Policy{
	Ours: map[string][]string{
		"internal/assert": {},
		"internal/tidy":   {},
		"internal/sys":    {"internal/assert"},
		"internal/steer":  {"internal/assert", "internal/sys"},
		"internal/wheel":  {"internal/assert"},
		"observe":         {"internal/assert"},
		"config":          {"internal/assert"},
		"httpparse":       {"internal/assert"},
		"route":           {"internal/assert", "httpparse", "proxyproto", "tlsio/info"},
		"upstream":        {"internal/assert", "observe"},
		"pool":            {"internal/assert", "internal/sys"},
		"tlsio/info":      {},
		"tlsio":           {"internal/assert", "internal/sys", "pool", "tlsio/info"},
		"relay":           {"internal/assert", "internal/sys", "pool", "tlsio", "observe"},
		"certs":           {"internal/assert", "tlsio", "tlsio/info"},
		"proxyproto":      {"internal/assert"},
		"limit":           {"internal/assert"},
		"access":          {"internal/assert", "internal/sys"},
		"preread":         {"internal/assert"},
		"health":          {"internal/assert", "httpparse", "upstream", "observe"},
		"mirror":          {"internal/assert", "internal/sys", "httpparse", "upstream"},
		"shard": {"internal/assert", "internal/sys", "internal/wheel", "httpparse", "route", "upstream", "relay",
			"tlsio", "tlsio/info", "proxyproto", "limit", "access", "preread", "mirror", "pool", "observe"},
		"admin": {"observe"},
		"engine": {"internal/assert", "internal/sys", "internal/steer", "config", "shard", "httpparse", "route", "upstream", "tlsio",
			"certs", "proxyproto", "limit", "health", "access", "mirror", "pool", "observe", "admin"},
		"demo":         {},
		"doctor":       {},
		"cmd/holdfast": {"engine", "config", "demo", "admin", "doctor"},

		// They speak sockets and start processes; they never link the product, and
		// share what speaks the wire.
		"bench/*": {"bench/*", "test/*"},
		"test/*":  {"test/*"},

		// A module of its own, which measures a package against others of its kind.
		"bench/parse": {"httpparse"},
	},
	Theirs: map[string][]string{
		"golang.org/x/sys/unix":                   {"internal/sys"},
		"github.com/cespare/xxhash/v2":            {"upstream", "route", "limit"},
		"golang.org/x/crypto":                     {"tlsio", "certs", "access"},
		"github.com/tg123/go-htpasswd":            {"access"},
		"github.com/youmark/pkcs8":                {"certs"},
		"github.com/nginxinc/nginx-go-crossplane": {"config"},
		"github.com/panjf2000/ants/v2":            {"demo"},
		"github.com/panjf2000/gnet/v2":            {"demo"},
		"github.com/prometheus/client_golang":     {"admin"},
		"github.com/prometheus/common":            {"admin"},
		"github.com/spf13/cobra":                  {"cmd/holdfast"},
		"github.com/spf13/pflag":                  {"cmd/holdfast"},
		"go.uber.org/automaxprocs":                {"engine"},
		"github.com/coreos/go-systemd/v22":        {"engine"},
		"github.com/HdrHistogram/hdrhistogram-go": {"admin"},
		"golang.org/x/net/dns/dnsmessage":         {"upstream"},
		"charm.land/bubbletea/v2":                 {"cmd/holdfast"},
		"github.com/schollz/progressbar/v3":       {"cmd/holdfast"},
		"github.com/prometheus/client_model":      {"admin"},
		"github.com/cilium/ebpf":                  {"internal/steer"},
	},
	Std: map[string][]string{
		"syscall":  {"internal/sys", "engine", "health", "cmd/holdfast"},
		"unsafe":   {"internal/sys", "pool"},
		"net":      {"internal/sys", "config", "upstream", "tlsio", "mirror", "engine", "health", "admin", "demo", "cmd/holdfast"},
		"net/http": {"admin", "demo", "cmd/holdfast"},
		"os": {"internal/sys", "internal/tidy", "config", "certs", "access", "engine", "admin", "demo",
			"cmd/holdfast"},
		"os/exec": {"engine", "cmd/holdfast"},
	},
}

var productLimits = tidy.Limits{FileLines: 500, FunctionLines: 70, LineColumns: 120, Parameters: 5,
	LongMark: []string{"httpparse", "shard"}}

// testLimits are for tests and benches: tables and scripts of bytes run long.
var testLimits = tidy.Limits{FileLines: 1000, FunctionLines: 200, LineColumns: 160, Parameters: 6}

// The patterns are put together from parts so that this file does not match them.
var leftovers = []tidy.Word{
	{Pattern: regexp.MustCompile(`\b(FIX` + `ME|TO` + `DO|XX` + `X|HA` + `CK)\b`),
		Instead: "finish it, or say in plain words what is not done and why"},
	{Pattern: regexp.MustCompile(`(^|[\s"'=:(])/(ho` + `me/\w|Us` + `ers/\w|ro` + `ot/(go/|\.\w))[A-Za-z0-9._/-]*`),
		Instead: "a path of one machine; use a relative path or a placeholder"},
}

func TestLeftoversAreRecognised(t *testing.T) {
	hit := func(text string) bool { return tidy.Words([]tidy.File{{Path: "a", Text: text}}, leftovers) != nil }
	for _, bad := range []string{"/ho" + "me/me/x", "GOPATH=/ro" + "ot/go/pkg", "// TO" + "DO later", "FIX" + "ME"} {
		if !hit(bad) {
			t.Errorf("%q is not found", bad)
		}
	}
	for _, good := range []string{"GET /root/a", "https://example.com/home/me", "mktemp -d XXXXXX", "todos"} {
		if hit(good) {
			t.Errorf("%q is refused", good)
		}
	}
}

func readTree(t *testing.T) (root string, files []tidy.File) {
	t.Helper()
	root, err := tidy.Root(".")
	if err != nil {
		t.Fatal(err)
	}
	files, err = tidy.ReadTree(root)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Fatalf("only %d files found below %s; the walk is broken", len(files), root)
	}
	return root, files
}

func report(t *testing.T, found []tidy.Finding) {
	t.Helper()
	for _, f := range found {
		t.Error(f)
	}
}

func TestImportDirection(t *testing.T) {
	_, files := readTree(t)
	report(t, tidy.Imports(files, policy))
}

func TestSizes(t *testing.T) {
	_, files := readTree(t)
	for _, f := range files {
		if !strings.HasSuffix(f.Path, ".go") {
			continue
		}
		limits := testLimits
		if f.IsProduct() {
			limits = productLimits
		}
		report(t, tidy.Size(f, limits))
	}
}

func TestExportedIdentifiersAreDocumented(t *testing.T) {
	_, files := readTree(t)
	for _, f := range files {
		if f.IsProduct() {
			report(t, tidy.Documented(f))
		}
	}
	report(t, tidy.PackageDocs(files))
}

func TestFileNames(t *testing.T) {
	_, files := readTree(t)
	report(t, tidy.FileNames(files, []string{"util", "helper", "common", "misc"}))
}

func TestNothingIsLeftLying(t *testing.T) {
	root, files := readTree(t)
	words := append([]tidy.Word{{
		Pattern: regexp.MustCompile(regexp.QuoteMeta(root) + `\b`),
		Instead: "the path of this very working copy",
	}}, leftovers...)
	report(t, tidy.Words(files, words))
}

// TestRawSystemCallsStayInSys keeps the signal constants of package syscall
// usable elsewhere, and nothing more of it.
func TestRawSystemCallsStayInSys(t *testing.T) {
	_, files := readTree(t)
	raw := []tidy.Word{{
		Pattern: regexp.MustCompile(`\bsyscall\.(Raw)?Syscall6?\b`),
		Instead: "raw system calls belong in internal/sys",
	}}
	for _, f := range files {
		if f.IsProduct() && path.Dir(f.Path) != "internal/sys" {
			report(t, tidy.Words([]tidy.File{f}, raw))
		}
	}
}

// TestLockFilesNameNoRegistry keeps download addresses out of the npm lock file, where
// `npm install` writes those of whatever registry it was pointed at unless .npmrc says
// not to.
func TestLockFilesNameNoRegistry(t *testing.T) {
	_, files := readTree(t)
	for _, f := range files {
		if path.Base(f.Path) == "package-lock.json" && strings.Contains(f.Text, `"resolved"`) {
			t.Errorf("%s names download addresses; keep omit-lockfile-registry-resolved in .npmrc", f.Path)
		}
	}
}
