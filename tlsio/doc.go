// Package tlsio is TLS on the loop. crypto/tls makes the handshake, on a goroutine of
// a bounded pool (Pool, Handshake); from then on a connection is a Conn, 128 bytes
// without a pointer, and the record layer of its shard (Layer) reads and writes it: TLS
// 1.3 (RFC 8446 section 5) and the AEAD suites of TLS 1.2 (RFC 5246 section 6, RFC 5288,
// RFC 7905). An idle connection has no goroutine, no tls.Conn and no buffer.
//
// The traffic secrets come from tls.Config.KeyLogWriter. They stay in this process: in
// the Conn, and in the expanded ciphers that a Layer keeps for connections that were
// active of late.
//
// The record layer reads in this order: conn.go what an idle connection is, layer.go what a
// shard calls, suite.go and derive.go keys, cache.go expanded ciphers, recv.go and record.go
// from the socket to plaintext, held.go what is kept between two calls, message.go alerts and
// handshake messages, send.go the other direction.
package tlsio
