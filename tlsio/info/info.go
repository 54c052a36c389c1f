// Package info tells what a TLS handshake found out. It is a leaf, so that variables can
// be made of it without knowing TLS.
package info

// TLS is what a handshake found out, for variables and logs. It is immutable.
type TLS struct {
	Version    string // $ssl_protocol: TLSv1.2, TLSv1.3
	Cipher     string // $ssl_cipher, OpenSSL's name
	Curve      string // $ssl_curve: X25519, prime256v1, X25519MLKEM768 …
	Ciphers    string // $ssl_ciphers: what the client offers, OpenSSL's names by colons
	Curves     string // $ssl_curves
	ALPN       string // $ssl_alpn_protocol
	ServerName string // $ssl_server_name: the client's SNI, lower case
	Resumed    bool   // $ssl_session_reused: r, else .
	EarlyData  bool   // $ssl_early_data: never
	SessionID  string // $ssl_session_id, hex
	Sigalg     string // $ssl_sigalg, as OpenSSL calls it; empty if not known
	ClientCert []byte // the client's certificate, DER; nil if it sent none
	Server     int    // ServerConfig.Index of the virtual server that SNI chose; -1: none
	// Verify is $ssl_client_verify: NONE, SUCCESS, or FAILED:reason.
	Verify string
}
