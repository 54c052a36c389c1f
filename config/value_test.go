package config

import (
	"testing"
	"time"
)

func TestParseTime(t *testing.T) {
	const day = 24 * time.Hour
	for _, tc := range []struct {
		text string
		want time.Duration
		bad  bool
	}{
		{text: "0"}, {text: "60", want: time.Minute}, {text: "60s", want: time.Minute},
		{text: "500ms", want: time.Second / 2},
		{text: "1m30s", want: 90 * time.Second}, {text: "1h 30m", want: 90 * time.Minute},
		{text: "1m30", want: 90 * time.Second},
		{text: "1y2M3w4d5h6m7s8ms",
			want: 365*day + 60*day + 21*day + 4*day + 5*time.Hour + 6*time.Minute + 7008*time.Millisecond},
		{text: "", bad: true}, {text: "s", bad: true}, {text: "1x", bad: true}, {text: "30m1h", bad: true},
		{text: "1s1s", bad: true},
		{text: "-1", bad: true}, {text: "1.5s", bad: true}, {text: "1 2", bad: true}, {text: "1 s", bad: true},
		{text: "99999999999999999999", bad: true},
		{text: "99999999999y", want: timeMax}, {text: "9223372036854775807", want: timeMax},
		{text: "99y400d", want: timeMax},
	} {
		got, ok := parseTime(tc.text)
		if ok == tc.bad || ok && got != tc.want {
			t.Errorf("%q: got %v, %v", tc.text, got, ok)
		}
	}
}

func TestParseSize(t *testing.T) {
	for _, tc := range []struct {
		text string
		want int64
	}{
		{"0", 0}, {"512", 512}, {"8k", 8192}, {"8K", 8192}, {"1m", 1 << 20}, {"1G", 1 << 30},
		{"", -1}, {"k", -1}, {"1kb", -1}, {"-1", -1}, {"1.5m", -1}, {"9223372036854775807k", -1}, {"9223372036854775808", -1},
	} {
		got, ok := parseSize(tc.text)
		if ok != (tc.want >= 0) || ok && got != tc.want {
			t.Errorf("%q: got %d, %v", tc.text, got, ok)
		}
	}
}

func TestEditDistance(t *testing.T) {
	for _, tc := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"listen", "listen", 0}, {"lisetn", "listen", 1}, {"listn", "listen", 1},
		{"liisten", "listen", 1}, {"proxy_pas", "proxy_pass", 1}, {"kitten", "sitting", 3}, {"ca", "abc", 3},
	} {
		if got := editDistance(tc.a, tc.b); got != tc.want {
			t.Errorf("%q, %q: got %d, want %d", tc.a, tc.b, got, tc.want)
		}
	}
}
