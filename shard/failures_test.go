package shard

import "testing"

// Programs read the error log: nginx's words for an upstream that is too slow, letter by letter.
func TestTimeoutTexts(t *testing.T) {
	const timedOut = "upstream timed out (110: Connection timed out) while "
	for f, doing := range map[failure]string{
		failConnectTimeout:   "connecting to upstream",
		failSendTimeout:      "sending request to upstream",
		failReadTimeout:      "reading response header from upstream",
		failHandshakeTimeout: "SSL handshaking to upstream",
	} {
		if got := failures[f].text; got != timedOut+doing {
			t.Errorf("failure %d: %q", f, got)
		}
		if got := disabled[f]; got != "upstream server temporarily disabled while "+doing {
			t.Errorf("failure %d: %q", f, got)
		}
	}
}
