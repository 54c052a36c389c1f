package tls_test

import (
	"strings"
	"testing"
)

// closing is a request whose answer ends the connection.
func closing(target string) string {
	return "GET " + target + " HTTP/1.1\r\nHost: " + host + "\r\nConnection: close\r\n\r\n"
}

// sClient runs openssl s_client with input until the server ends the connection and
// returns all it says, an alert included.
func sClient(t *testing.T, address, input string, args ...string) string {
	t.Helper()
	base := []string{"s_client", "-connect", address, "-servername", host, "-ign_eof"}
	for _, arg := range args {
		if arg == "-servername" || arg == "-noservername" {
			base = []string{"s_client", "-connect", address, "-ign_eof"}
		}
	}
	out, _ := try(t, nil, input, program(t, "openssl"), append(base, args...)...)
	return out
}

// bodyOf is the body, of one line, of the response in what s_client said.
func bodyOf(out string) string {
	_, rest, _ := strings.Cut(out, "HTTP/1.1 ")
	_, body, _ := strings.Cut(rest, "\r\n\r\n")
	line, _, _ := strings.Cut(body, "\n")
	return line
}

// curl runs curl against an address under the name of the certificate and returns the
// bodies. In the arguments {} stands for the URL's beginning.
func curl(t *testing.T, address string, args ...string) string {
	t.Helper()
	out, err := tryCurl(t, address, args...)
	if err != nil {
		t.Fatalf("curl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func tryCurl(t *testing.T, address string, args ...string) (string, error) {
	t.Helper()
	ip, port, _ := strings.Cut(address, ":")
	all := []string{"-q", "-sS", "--http1.1", "--cacert", theWorld(t).dir + "/root.pem", "--resolve", host + ":" + port + ":" + ip}
	for _, arg := range args {
		all = append(all, strings.ReplaceAll(arg, "{}", "https://"+host+":"+port))
	}
	return try(t, nil, "", program(t, "curl"), all...)
}
