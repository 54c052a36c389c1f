// Package proxyproto reads and writes the header that a proxy puts in front of a
// connection's bytes to tell whose they are: the PROXY protocol, versions 1 and 2, as
// HAProxy's doc/proxy-protocol.txt describes it. Section numbers are those of that text.
//
// It is pure: bytes in, values out, no I/O. A header is hostile until its listener is
// known to be reachable by proxies only, so every rule of the text is enforced.
package proxyproto
