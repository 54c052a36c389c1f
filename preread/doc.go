// Package preread reads the first message of a TLS connection, the client's hello (RFC 8446
// section 4.1.2), without answering it: which server the client asks for, which protocols
// and which version it offers. Bytes go in, spans of them come out; nothing is read, and
// nothing is allocated once a Hello has grown its buffer.
package preread
