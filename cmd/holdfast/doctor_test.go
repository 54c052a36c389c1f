package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"holdfast/doctor"
)

var update = flag.Bool("update", false, "rewrite the files in testdata that output is compared with")

// smallMachine has four cores and 8 GB, as files of /proc.
func smallMachine() fstest.MapFS {
	tree := fstest.MapFS{}
	for name, text := range map[string]string{
		"proc/meminfo":                                "MemTotal: 8000000 kB\nMemAvailable: 7500000 kB\n",
		"proc/self/limits":                            "Max open files  1024  524288  files\n",
		"proc/self/status":                            "CapEff:\t0000000000000400\n",
		"proc/stat":                                   "cpu  1\ncpu0 1\ncpu1 1\ncpu2 1\ncpu3 1\n",
		"proc/sys/kernel/osrelease":                   "6.1.0-31-amd64\n",
		"proc/sys/fs/nr_open":                         "1048576\n",
		"proc/sys/fs/file-max":                        "9223372036854775807\n",
		"proc/sys/fs/file-nr":                         "1200\t0\t9223372036854775807\n",
		"proc/sys/fs/epoll/max_user_watches":          "1750000\n",
		"proc/sys/net/core/somaxconn":                 "4096\n",
		"proc/sys/net/ipv4/tcp_max_syn_backlog":       "512\n",
		"proc/sys/net/ipv4/ip_local_port_range":       "32768\t60999\n",
		"proc/sys/net/ipv4/tcp_mem":                   "90000\t120000\t180000\n",
		"proc/sys/net/ipv4/tcp_available_ulp":         "mptcp tls\n",
		"proc/sys/net/netfilter/nf_conntrack_max":     "262144\n",
		"proc/sys/net/netfilter/nf_conntrack_count":   "144\n",
		"proc/sys/net/ipv4/tcp_tw_reuse":              "2\n",
		"sys/kernel/mm/transparent_hugepage/enabled":  "always [madvise] never\n",
		"proc/sys/net/ipv4/ip_local_reserved_ports":   "\n",
		"proc/sys/net/netfilter/nf_conntrack_buckets": "65536\n",
	} {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return tree
}

const doctorConf = `worker_processes 4;
admin 127.0.0.1:9180;
events { worker_connections 60000; }
http {
	upstream chat { server 10.0.0.1:9000; server 10.0.0.2:9000; }
	server { listen 80; listen 8080 backlog=4096; location / { proxy_pass http://chat; } }
}
`

// examine runs doctor on the small machine, in the folder of the configuration.
func examine(t *testing.T, args ...string) (code int, out, errOut string) {
	t.Helper()
	t.Chdir(t.TempDir())
	write(t, ".", "nginx.conf", doctorConf)
	var stdout, stderr bytes.Buffer
	io := streams{out: &stdout, err: &stderr}
	src := &source{}
	form := &doctorForm{root: smallMachine(), cores: func() int { return 4 }}
	cmd := form.command(src, io)
	cmd.Flags().StringVarP(&src.file, "conf", "c", "", "")
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(append([]string{"-c", "nginx.conf"}, args...))
	if err := cmd.Execute(); err != nil {
		code = 1
		fmt.Fprint(&stderr, err)
	}
	return code, stdout.String(), stderr.String()
}

// golden compares text with a file of testdata; -update writes it.
func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		must(t, os.WriteFile(path, []byte(got), 0o600))
	}
	want, err := os.ReadFile(path)
	must(t, err)
	if got != string(want) {
		t.Errorf("%s differs; with -update it is written anew. Got:\n%s", filepath.Base(path), got)
	}
}

func testdata(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	must(t, err)
	return path
}

func TestDoctor(t *testing.T) {
	text, settings := testdata(t, "doctor-150000.txt"), testdata(t, "doctor-150000.conf")
	code, out, errOut := examine(t, "--tunnels", "150000", "--write", "90-holdfast.conf")
	if code != 1 || errOut != "wrote 90-holdfast.conf\nfailed" {
		t.Errorf("exit code %d, stderr %q", code, errOut)
	}
	golden(t, text, out)
	written, err := os.ReadFile("90-holdfast.conf")
	must(t, err)
	golden(t, settings, string(written))
}

func TestDoctorFits(t *testing.T) {
	code, out, errOut := examine(t, "--tunnels", "40000")
	if code != 0 || errOut != "" || !strings.Contains(out, "40,000 tunnels fit: this machine holds about 56,464") {
		t.Errorf("exit code %d, stderr %q, stdout:\n%s", code, errOut, out)
	}
}

func TestDoctorJSON(t *testing.T) {
	code, out, _ := examine(t, "--json", "--tunnels", "150000")
	var r doctor.Report
	must(t, json.Unmarshal([]byte(out), &r))
	if code != 1 || r.Fits || r.Asked != 150_000 || r.Holds != 56_464 || r.Config != "nginx.conf" || len(r.Checks) < 10 {
		t.Errorf("exit code %d, %+v", code, r)
	}
}

// A file that somebody else wrote is not touched; one of doctor's own is replaced.
func TestDoctorWrite(t *testing.T) {
	path := write(t, t.TempDir(), "a.conf", "net.core.somaxconn = 1\n")
	if code, _, errOut := examine(t, "--write", path); code != 1 || !strings.Contains(errOut, "was not written by doctor") {
		t.Errorf("exit code %d, %q", code, errOut)
	}
	write(t, filepath.Dir(path), "a.conf", doctor.SysctlHead+", for 1 idle tunnels.\n")
	if code, _, errOut := examine(t, "--write", path); code != 0 {
		t.Errorf("exit code %d, %q", code, errOut)
	}
	text, err := os.ReadFile(path)
	must(t, err)
	if !strings.Contains(string(text), "net.ipv4.ip_local_port_range") {
		t.Errorf("%q", text)
	}
}

func TestDoctorRefuses(t *testing.T) {
	for says, args := range map[string][]string{
		"a number from 1":      {"--tunnels", "-1"},
		"ends in .conf":        {"--write", "sysctl.txt"},
		"limits of process":    {"--pid", "77"},
		"no such file":         {"--write", "missing/90.conf"},
		"unknown command":      {"now"},
		"unknown flag: --fast": {"--fast"},
	} {
		if code, _, errOut := examine(t, args...); code != 1 || !strings.Contains(errOut, says) {
			t.Errorf("%v: exit code %d, %q", args, code, errOut)
		}
	}
}

// TestDoctorHere runs on the machine of the test: it must come to a verdict anywhere.
func TestDoctorHere(t *testing.T) {
	code, out, errOut := execute("doctor")
	if code != 0 || errOut != "" || !strings.Contains(out, "this machine holds about") {
		t.Errorf("exit code %d, stderr %q, stdout:\n%s", code, errOut, out)
	}
	bad := write(t, t.TempDir(), "bad.conf", "evnts {}\n")
	if code, _, errOut := execute("doctor", "-c", bad); code != 1 || !strings.Contains(errOut, "bad.conf:1: error") {
		t.Errorf("bad configuration: exit code %d, %q", code, errOut)
	}
}
