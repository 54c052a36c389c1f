package httpparse_test

import (
	"testing"

	"holdfast/httpparse"
)

func TestRequestUpgrade(t *testing.T) {
	none, ws, other := httpparse.UpgradeNone, httpparse.UpgradeWebSocket, httpparse.UpgradeOther
	const get = "GET / HTTP/1.1\r\n"
	cases := []struct {
		name, head string
		want       httpparse.UpgradeKind
	}{
		{"6455-4.1 websocket", get + "Connection: Upgrade\r\nUpgrade: websocket\r\n", ws},
		{"6455-4.2.1 in another case", get + "connection: UPGRADE\r\nupgrade: WebSocket\r\n", ws},
		{"6455-4.2.1 among other options", get + "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n", ws},
		{"9110-5.3 Connection in two fields", get + "Connection: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n", ws},
		{"9110-5.6.1 empty list elements", get + "Connection: ,upgrade\r\nUpgrade: , websocket ,\r\n", ws},
		{"9110-7.8 no Upgrade", get + "Connection: upgrade\r\n", none},
		{"9110-7.8 empty Upgrade", get + "Connection: upgrade\r\nUpgrade:\r\n", none},
		{"9110-7.8 not listed in Connection", get + "Connection: keep-alive\r\nUpgrade: websocket\r\n", none},
		{"9110-7.8 no Connection", get + "Upgrade: websocket\r\n", none},
		{"9110-7.8 ignored in 1.0", "GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n", none},
		{"9110-7.8 another protocol", get + "Connection: upgrade\r\nUpgrade: h2c\r\n", other},
		{"9110-7.8 a version", get + "Connection: upgrade\r\nUpgrade: websocket/13\r\n", other},
		{"9110-7.8 a list", get + "Connection: upgrade\r\nUpgrade: websocket, h2c\r\n", other},
		{"9110-7.8 a list in two fields", get + "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n", other},
		{"6455-4.1 another method", "POST / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n", other},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r, buf := parsedRequest(t, c.head+"\r\n")
			if got := r.Upgrade(buf); got != c.want {
				t.Errorf("got %d, want %d", got, c.want)
			}
		})
	}
}

func TestSwitchOK(t *testing.T) {
	const (
		ws = "GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: websocket\r\n"
		// The key and its answer are those of RFC 6455 section 1.3.
		key    = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
		accept = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
		line   = "HTTP/1.1 101 Switching Protocols\r\n"
		both   = "Upgrade: WebSocket\r\nConnection: Upgrade\r\n"
	)
	cases := []struct {
		name, request, response string
		want                    bool
	}{
		{"6455-4.2.2 accepted", ws + key, line + both + accept, true},
		{"6455-4.1 no key to compare with", ws, line + both, true},
		{"6455-4.1 wrong accept", ws + key, line + both + "Sec-WebSocket-Accept: AAAALMBiTxaQ9kYGzzhZRbK+xOo=\r\n", false},
		{"6455-4.1 empty accept", ws + key, line + both + "Sec-WebSocket-Accept:\r\n", false},
		{"6455-4.1 no accept", ws + key, line + both, false},
		{"6455-4.2.2 two accepts", ws + key, line + both + accept + accept, false},
		{"6455-4.1 no Upgrade", ws + key, line + "Connection: upgrade\r\n" + accept, false},
		{"6455-4.1 no Connection", ws + key, line + "Upgrade: websocket\r\n" + accept, false},
		{"6455-4.1 Connection without upgrade", ws + key, line + "Upgrade: websocket\r\nConnection: x\r\n" + accept, false},
		{"6455-4.1 another protocol", ws + key, line + "Upgrade: h2c\r\nConnection: upgrade\r\n" + accept, false},
		{"9110-7.8 two protocols", ws + key, line + "Upgrade: websocket, x\r\nConnection: upgrade\r\n" + accept, false},
		{"9110-15.2.2 another status", ws + key, "HTTP/1.1 200 OK\r\n" + both + accept, false},
		{"9110-7.8 in 1.0", ws + key, "HTTP/1.0 101 Switching Protocols\r\n" + both + accept, false},
		{"9110-7.8 not asked for", "GET / HTTP/1.1\r\n" + key, line + both + accept, false},
		{
			"9110-7.8 one of those asked for",
			"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: a, B/2\r\n",
			line + "Upgrade: b/2\r\nConnection: upgrade\r\n", true,
		},
		{
			"9110-7.8 none of those asked for",
			"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: a, b\r\n",
			line + "Upgrade: c\r\nConnection: upgrade\r\n", false,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			req, reqBuf := parsedRequest(t, c.request+"\r\n")
			resp, buf := parsedResponse(t, c.response+"\r\n")
			if got := resp.SwitchOK(buf, req, reqBuf); got != c.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

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
