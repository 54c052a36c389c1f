// Package sidebyside_test asks nginx and holdfast the same: the same configuration, the
// same requests; what the backends saw, what the clients got and what was logged must be
// the same. The cases are in testdata. One that differs on purpose says why, and
// docs/differences.md repeats it. HOLDFAST_SIDEBYSIDE, a regular expression, names the
// cases to run and shows what nginx did with them.
package sidebyside_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"holdfast/test/proc"
)

func TestMain(m *testing.M) { os.Exit(proc.Main(m)) }

// casesAtOnce is how many cases are asked at a time: most of them wait, hardly any works.
const casesAtOnce = 16

// onlyNginx lets nginx alone answer, to see whether cases mean what they say.
var onlyNginx = os.Getenv("HOLDFAST_E2E_ONLY") == string(proc.Nginx)

// shards is how many shards holdfast has for the cases that share a process: where nginx
// needs one worker for balancing and limits to be exact, they share what they count. Only
// the connections kept to upstreams are each shard's own.
const shards = 3

func TestSideBySide(t *testing.T) {
	form, err := regexp.Compile(os.Getenv("HOLDFAST_SIDEBYSIDE"))
	if err != nil {
		t.Fatal(err)
	}
	cases, err := readCases()
	if err != nil {
		t.Fatal(err)
	}
	pending := readPending(t, cases)
	var shared []*ground
	for _, c := range cases {
		if !form.MatchString(c.title()) {
			continue
		}
		if !c.alone {
			shared = append(shared, prepare(t, c))
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			compare(t, []*ground{prepare(t, c)}, pending)
		})
	}
	if len(shared) > 0 {
		t.Run("shared", func(t *testing.T) {
			t.Parallel()
			compare(t, shared, pending)
		})
	}
}

func (c *testCase) title() string { return c.group + "/" + c.name }

// readPending reads the cases that are known to fail, with what is wrong.
func readPending(t *testing.T, cases []*testCase) map[string]string {
	t.Helper()
	text, err := os.ReadFile("testdata/pending.md")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, c := range cases {
		names[c.name] = true
	}
	pending := map[string]string{}
	for _, line := range strings.Split(string(text), "\n") {
		item, ok := strings.CutPrefix(line, "- ")
		if !ok {
			continue
		}
		name, reason, _ := strings.Cut(item, ": ")
		if !names[name] || reason == "" {
			t.Errorf("testdata/pending.md: %q is no case with a reason", line)
		}
		pending[name] = reason
	}
	return pending
}

// compare runs cases that share their processes: first all with nginx, then all with
// holdfast, on the same ports.
func compare(t *testing.T, grounds []*ground, pending map[string]string) {
	theirs, wrong := runAll(t, proc.Nginx, grounds)
	ours, refused := map[*ground]outcome{}, map[*ground]string{}
	if !onlyNginx {
		ours, refused = runAll(t, proc.Holdfast, grounds)
	}
	var notYet []string
	for _, g := range grounds {
		t.Run(g.title(), func(t *testing.T) {
			if problem := wrong[g]; problem != "" {
				t.Fatalf("nginx refuses it: %s", problem)
			}
			if os.Getenv("HOLDFAST_SIDEBYSIDE") != "" {
				t.Logf("nginx in %v, holdfast in %v:\n%s", theirs[g].took, ours[g].took, strings.Join(theirs[g].lines, "\n"))
			}
			for _, problem := range theirs[g].unmet {
				t.Errorf("nginx: %s", problem)
			}
			if onlyNginx {
				return
			}
			found := judge(g, theirs[g], ours[g], refused[g])
			reason := pending[g.name]
			switch {
			case reason != "" && found == "":
				t.Errorf("it passes: take it out of testdata/pending.md")
			case reason != "":
				notYet = append(notYet, g.title()+": "+reason)
			case found != "":
				t.Error(found)
			}
		})
	}
	if len(notYet) > 0 {
		t.Logf("%d cases are pending:\n%s", len(notYet), strings.Join(notYet, "\n"))
	}
}

// refusedLine is the difference of a case that holdfast refuses on purpose.
const refusedLine = "+ refused"

// judge says what is wrong with holdfast's outcome, "" if nothing is.
func judge(g *ground, theirs, ours outcome, refused string) string {
	if refused != "" && (len(g.diff) != 1 || g.diff[0] != refusedLine) {
		return "holdfast refuses it: " + refused
	}
	if refused != "" {
		return ""
	}
	diff := difference(theirs.lines, ours.lines)
	if got, want := strings.Join(diff, "\n"), strings.Join(g.diff, "\n"); got != want {
		if want == "" {
			return "holdfast differs:\n" + got
		}
		return fmt.Sprintf("holdfast differs by\n%s\nand the case says by\n%s", got, want)
	}
	return ""
}

// runAll starts a proxy for the cases that it does not refuse, and asks it.
func runAll(t *testing.T, kind proc.Kind, grounds []*ground) (map[*ground]outcome, map[*ground]string) {
	t.Helper()
	outcomes := map[*ground]outcome{}
	refused, includes := refusals(t, kind, grounds)
	if len(refused) == len(grounds) {
		return outcomes, refused
	}
	workers := 1 // nginx's share less than shards do
	if kind == proc.Holdfast && !grounds[0].alone {
		workers = shards
	}
	p := proc.Start(t, kind, proc.Spec{HTTP: includes, Workers: workers})
	var mu sync.Mutex
	var all sync.WaitGroup
	places := make(chan struct{}, casesAtOnce)
	for _, g := range grounds {
		if refused[g] != "" {
			continue
		}
		places <- struct{}{}
		all.Go(func() {
			o := g.run(p.Dir)
			mu.Lock()
			outcomes[g] = o
			mu.Unlock()
			<-places
		})
	}
	all.Wait()
	if kind == proc.Nginx {
		p.Stop(t, syscall.SIGTERM) // holdfast listens on the same ports
	}
	return outcomes, refused
}

// refusals finds the cases whose configuration a proxy refuses, with the first problem
// of each, and returns the http block that includes the others.
func refusals(t *testing.T, kind proc.Kind, grounds []*ground) (map[*ground]string, string) {
	t.Helper()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "logs", "error.log"), "")
	refused := map[*ground]string{}
	for {
		includes := ""
		if !grounds[0].alone {
			includes = "proxy_http_version 1.1;\n"
		}
		for _, g := range grounds {
			if refused[g] == "" {
				includes += "include " + g.conf + ";\n"
			}
		}
		conf := filepath.Join(dir, "nginx.conf")
		write(t, conf, "pid "+dir+"/pid;\nerror_log "+dir+"/logs/error.log;\nevents { worker_connections 512; }\n"+
			"http {\naccess_log "+dir+"/logs/access.log;\n"+includes+"}\n")
		output, err := check(t, kind, conf, dir)
		if err == nil {
			return refused, includes
		}
		before := len(refused)
		for _, g := range grounds {
			for _, line := range strings.Split(output, "\n") {
				if strings.Contains(line, g.conf+":") && !strings.Contains(line, "warn") && refused[g] == "" {
					refused[g] = strings.ReplaceAll(line, filepath.Dir(g.conf)+"/", "")
				}
			}
		}
		if len(refused) == before {
			t.Fatalf("%s refuses the cases: %v\n%s", kind, err, output)
		}
	}
}

// check lets a proxy judge a configuration.
func check(t *testing.T, kind proc.Kind, conf, dir string) (string, error) {
	t.Helper()
	args := []string{"check", "-c", conf, "-p", dir}
	path := string(kind)
	if kind == proc.Holdfast {
		path = proc.Binary(t)
	} else {
		if _, err := exec.LookPath(path); err != nil {
			proc.Skip(t, path+" is not on PATH")
		}
		args = []string{"-t", "-c", conf, "-p", dir, "-e", dir + "/logs/error.log"}
	}
	output, err := exec.Command(path, args...).CombinedOutput()
	return string(output), err
}

// difference is the shortest list of lines that only a ("-") or only b ("+") has.
func difference(a, b []string) []string {
	length := make([][]int, len(a)+1)
	for i := range length {
		length[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				length[i][j] = length[i+1][j+1] + 1
			} else {
				length[i][j] = max(length[i+1][j], length[i][j+1])
			}
		}
	}
	var diff []string
	for i, j := 0, 0; i < len(a) || j < len(b); {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && length[i+1][j] >= length[i][j+1]:
			diff = append(diff, "- "+a[i])
			i++
		default:
			diff = append(diff, "+ "+b[j])
			j++
		}
	}
	return diff
}
