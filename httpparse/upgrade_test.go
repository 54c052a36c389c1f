package httpparse_test

import (
	"testing"

	"holdfast/httpparse"
)

func TestAcceptKey(t *testing.T) {
	for key, want := range map[string]string{
		"dGhlIHNhbXBsZSBub25jZQ==": "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", // RFC 6455 section 1.3
		"":                         "Kfh9QIsMVZcl6xEPYxPHzW8SZ8w=",
	} {
		if got := string(httpparse.AcceptKey([]byte("kept"), []byte(key))); got != "kept"+want {
			t.Errorf("%q: %s", key, got)
		}
	}
}
