package engine

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"holdfast/config"
)

// runConf, set in the environment, makes the test binary run the configuration it
// names, as `holdfast run` does.
const runConf = "HOLDFAST_TEST_RUN"

// patience bounds every wait; it is no measurement.
const patience = 60 * time.Second

func TestMain(m *testing.M) {
	if options := os.Getenv(busySet); options != "" {
		if err := serveBusy(options); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	path := os.Getenv(runConf)
	if path == "" {
		os.Exit(withoutLeaks(m.Run()))
	}
	read := func() (*config.Config, []config.Problem) {
		return config.Load(path, config.Options{CheckText: CheckText, CheckStreamText: CheckStreamText})
	}
	cfg, problems := read()
	for _, p := range problems {
		fmt.Fprintln(os.Stderr, p)
	}
	if cfg == nil {
		os.Exit(2)
	}
	if os.Getenv(witnessSet) != "" {
		go serveWitness(os.Stdin, os.Stdout)
	}
	if err := Run(context.Background(), Options{Config: cfg, ConfigPath: path, Version: "test", Load: read}); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// withoutLeaks turns the code of a passed run into 1 when goroutines are left that do not
// end. goleak by itself waits for a second, which is little on a busy machine.
func withoutLeaks(code int) int {
	for end := time.Now().Add(patience); code == 0; {
		err := goleak.Find()
		if err == nil {
			break
		}
		if time.Now().After(end) {
			fmt.Fprintln(os.Stderr, "goroutines are left:", err)
			code = 1
		}
	}
	return code
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// until polls until done says that it is.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// load reads a configuration that must be free of errors. The texts in it are not
// checked: that is left to Build.
func load(t testing.TB, text string) *config.Config {
	t.Helper()
	cfg, problems := config.LoadText("nginx.conf", text, config.Options{Prefix: t.TempDir()})
	if cfg == nil {
		t.Fatal(problems)
	}
	return cfg
}
