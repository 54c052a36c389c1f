package main

import (
	"strings"
	"testing"

	"holdfast/bench/peers"
	"holdfast/test/busy"
)

func TestCountsReadsPerf(t *testing.T) {
	calls := counts([]byte("# started\n" +
		"100;;raw_syscalls:sys_enter;1;100.00;;\n" +
		"60;;syscalls:sys_enter_recvfrom;1;100.00;;\n" +
		"0;;syscalls:sys_enter_bind;1;100.00;;\n" +
		"<not counted>;;syscalls:sys_enter_poll;0;0.00;;\n" +
		"30;;syscalls:sys_enter_sendto;1;100.00;;\n"))
	want := map[string]uint64{total: 100, "recvfrom": 60, "sendto": 30, "others": 10}
	if len(calls) != len(want) {
		t.Errorf("%v, want %v", calls, want)
	}
	for name, n := range want {
		if calls[name] != n {
			t.Errorf("%s: %d, want %d", name, calls[name], n)
		}
	}
}

func TestReport(t *testing.T) {
	l := load{"a load", "message", 2, busy.Options{}}
	var text strings.Builder
	report(&text, []result{{peers.Nginx, l, 100, map[string]uint64{total: 501, "sendto": 200, "recvfrom": 300, "brk": 1}}})
	const row = "| a load | nginx | message | **2.50** | recvfrom 1.50, sendto 1.00, brk 0.01 |"
	if !strings.Contains(text.String(), row) {
		t.Errorf("no row %q in\n%s", row, text.String())
	}
}
