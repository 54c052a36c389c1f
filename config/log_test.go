package config_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"holdfast/config"
)

func logPaths(logs []config.TunnelLog) (paths []string) {
	for _, log := range logs {
		paths = append(paths, log.Path)
	}
	return paths
}

func TestLogDirectives(t *testing.T) {
	cfg := mustLoad(t, `error_log /m crit;
http {
	log_format f "$uri";
	error_log /h warn; error_log syslog:server=localhost,tag=x_1,facility=cron,severity=crit,nohostname info;
	server {
		listen 8080;
		access_log /a f buffer=32k flush=1m30s if=$uri;
		access_log /b f gzip;
		access_log /a f buffer=32k flush=90s;
		access_log syslog:server=[::1]:5140 f if=1;
		access_log syslog:server=unix:/dev/log;
		location /off { return 204; tunnel_log off; }
		location /open { return 204; tunnel_log open; }
		location /path { return 204; tunnel_log /t f both; tunnel_log /u; tunnel_log close; error_log stderr; }
	}
}`)
	server := cfg.HTTP.Servers[0]
	logs := server.Settings.AccessLogs
	for i, want := range []config.LogTarget{
		{Path: "/a", Buffer: 32 << 10, Flush: 90 * time.Second},
		{Path: "/b", Buffer: 64 << 10, Gzip: 1},
		{Path: "/a", Buffer: 32 << 10, Flush: 90 * time.Second},
	} {
		if diff := cmp.Diff(want, logs[i].LogTarget); diff != "" {
			t.Errorf("access_log %d (-want +got):\n%s", i, diff)
		}
	}
	if logs[0].If != "$uri" || logs[1].If != "" || logs[3].If != "1" || logs[4].Format.Name != "combined" {
		t.Errorf("conditions %q %q %q, format %q", logs[0].If, logs[1].If, logs[3].If, logs[4].Format.Name)
	}
	if s := logs[3].Syslog; s.Server.String() != "[::1]:5140" || s.Facility != 23 || s.Severity != config.LevelInfo || s.Tag != "nginx" {
		t.Errorf("syslog is %+v", s)
	}
	if got := logs[4].Syslog.Server.Unix; got != "/dev/log" {
		t.Errorf("syslog is at %q", got)
	}
	errors := server.Settings.ErrorLogs
	if len(errors) != 2 || errors[0].Path != "/h" || errors[0].Level != config.LevelWarn || errors[1].Level != config.LevelInfo {
		t.Fatalf("error logs %+v", errors)
	}
	if s := errors[1].Syslog; s.Server.String() != "127.0.0.1:514" || s.Facility != 15 || s.Tag != "x_1" || !s.NoHostname {
		t.Errorf("syslog is %+v", s)
	}
	off, open, path := server.Locations[0].Settings, server.Locations[1].Settings, server.Locations[2].Settings
	if len(off.TunnelLogs) != 0 || off.TunnelAccess != config.TunnelOff || open.TunnelAccess != config.TunnelOpen || len(open.TunnelLogs) != 0 {
		t.Errorf("off: %+v, open: %+v", off.TunnelLogs, open.TunnelLogs)
	}
	if diff := cmp.Diff([]string{"/t", "/u", "/a", "/b", "", ""}, logPaths(path.TunnelLogs)); diff != "" {
		t.Errorf("tunnel logs (-want +got):\n%s", diff)
	}
	if tl := path.TunnelLogs; !tl[0].Open || !tl[0].Close || tl[0].Format.Name != "f" || tl[1].Open || !tl[1].Close || tl[1].Format != nil {
		t.Errorf("tunnel logs %+v", tl)
	}
	if len(path.ErrorLogs) != 1 || path.ErrorLogs[0].Path != "" {
		t.Errorf("error logs %+v", path.ErrorLogs)
	}
}

// TestLogProblems shows each wrong argument of the logs' directives and what is said about it.
func TestLogProblems(t *testing.T) {
	for text, want := range map[string]string{
		"access_log /a combined buffer=x;":                                          `invalid buffer size "x" in "access_log" directive; write a size`,
		"access_log /a combined buffer=0;":                                          `invalid buffer size "0"`,
		"access_log /a combined flush=0;":                                           `invalid flush time "0"`,
		"access_log /a combined flush=1s;":                                          `no buffer is defined for access_log "/a"; add buffer=SIZE`,
		"access_log /a combined gzip=10;":                                           `invalid compression level "10" in "access_log" directive; write gzip=1`,
		"access_log /a combined gzip=x;":                                            `invalid compression level "x"`,
		"access_log /a combined fast;":                                              `invalid parameter "fast" in "access_log" directive; write buffer=SIZE`,
		"access_log /a$host combined;":                                              `variables in the path of "access_log" are not supported; write a path without`,
		"access_log memory:32m;":                                                    `"memory:32m" of "access_log" is not supported; write a path`,
		"error_log memory:32m debug;":                                               `"memory:32m" of "error_log" is not supported; write a path`,
		"error_log /a loud;":                                                        `invalid value "loud" in "error_log" directive; write one of emerg, alert`,
		"access_log syslog:tag=a;":                                                  `no syslog server specified in "syslog:tag=a"; write syslog:server=`,
		"access_log syslog:server=1:1:1;":                                           `in syslog server "1:1:1"; write server=ADDRESS`,
		"access_log syslog:server=[::1],x=1;":                                       `unknown syslog parameter "x=1"`,
		"access_log syslog:server=[::1],tag=é;":                                     `syslog "tag" only allows alphanumeric characters and underscore`,
		"access_log syslog:server=localhost,tag=123456789012345678901234567890123;": `syslog tag length exceeds 32`,
		"access_log syslog:server=localhost,facility=a;":                            `unknown syslog facility "a"; write one of kern`,
		"access_log syslog:server=localhost,severity=a;":                            `unknown syslog severity "a"; write one of emerg`,
		"access_log syslog:server=localhost,server=localhost;":                      `duplicate syslog parameter "server"; remove one`,
		"access_log syslog:server=localhost,nohostname=1;":                          `unknown syslog parameter "nohostname=1"`,
		"access_log syslog:server=unix:;":                                           `in syslog server`,
		"access_log syslog:server=localhost combined buffer=1k;":                    `logs to syslog cannot be buffered; remove buffer=`,
		"access_log /a combined buffer=1k; access_log /a combined buffer=2k;":       `access_log "/a" already defined with conflicting parameters; write the`,
		"tunnel_log both close;":                                                    `invalid value "close" in "tunnel_log" directive; write: tunnel_log open`,
		"tunnel_log /t nosuch;":                                                     `unknown log format "nosuch"; define it`,
		"tunnel_log /t combined x;":                                                 `invalid value "x" in "tunnel_log" directive`,
	} {
		_, problems := config.LoadText("/etc/h/nginx.conf", inHTTP(text+"\nserver { listen 8080; return 204; }"), hermetic(nil))
		got := lines(problems)
		if !strings.HasPrefix(got, "nginx.conf:2: error: ") || !strings.Contains(got, want) {
			t.Errorf("%s\n is %swant %s", text, got, want)
		}
	}
}
