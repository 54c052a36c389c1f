package config_test

import "testing"

func TestKernelTLS(t *testing.T) {
	for text, want := range map[string]bool{"": false, "ssl_ktls on;": true, "events { ssl_ktls on; }": true, "ssl_ktls off;": false} {
		if got := mustLoad(t, text).Events.KernelTLS; got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}
