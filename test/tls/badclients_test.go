package tls_test

import (
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"holdfast/test/proc"
)

// one is a list of one outcome; several are alternatives.
func one(outcomes ...string) []string { return outcomes }

// sends plays bytes that come before any answer.
func sends(make func(c *badPeer) []byte) func(c *badPeer) string {
	return func(c *badPeer) string {
		c.send(make(c))
		return c.answer()
	}
}

// edits plays a good hello with something changed.
func edits(change func(h *hello)) func(c *badPeer) string {
	return sends(func(c *badPeer) []byte {
		h := c.hello()
		change(h)
		return h.records()
	})
}

// hello is a good hello, of both versions.
func (c *badPeer) hello() *hello { return parseHello(clientHello(c.t, c.config)) }

// says plays an established connection whose next records are made by make, in TLS 1.3
// or 1.2.
func says(version uint16, make func(s *sealer) []byte) func(c *badPeer) string {
	return func(c *badPeer) string {
		conn, s := c.established(version)
		if s == nil {
			return "no handshake"
		}
		c.send(make(s))
		return c.rest(conn)
	}
}

// saysLast is says followed by a FIN, for what a server may pass over in silence.
func saysLast(version uint16, make func(s *sealer) []byte) func(c *badPeer) string {
	return func(c *badPeer) string {
		conn, s := c.established(version)
		if s == nil {
			return "no handshake"
		}
		c.send(make(s))
		c.closeWrite()
		return c.rest(conn)
	}
}

// tampers plays a client whose records are changed on their way.
func tampers(version uint16, change func(log *keyLog, record []byte) []byte) func(c *badPeer) string {
	return func(c *badPeer) string {
		conn, _ := c.begin(version, change)
		return c.ask(conn)
	}
}

func u16(values ...uint16) []byte {
	var out []byte
	for _, v := range values {
		out = binary.BigEndian.AppendUint16(out, v)
	}
	return out
}

// list is a vector with a length of two bytes.
func list(body []byte) []byte { return append(u16(uint16(len(body))), body...) }

// finished changes the client's Finished of TLS 1.3: the first encrypted record.
func finished(change func(s *sealer, record []byte) []byte) func(c *badPeer) string {
	return func(c *badPeer) string {
		done := false
		conn, _ := c.begin(tls.VersionTLS13, func(log *keyLog, record []byte) []byte {
			if done || record[0] != typeApplication {
				return record
			}
			done = true
			secret := log.secret("CLIENT_HANDSHAKE_TRAFFIC_SECRET")
			suite := tls.TLS_AES_128_GCM_SHA256
			if len(secret) == 48 {
				suite = tls.TLS_AES_256_GCM_SHA384
			}
			s, err := sealer13(suite, secret)
			if err != nil {
				c.t.Error(err)
				return record
			}
			return change(s, record)
		})
		return c.ask(conn)
	}
}

// keyUpdate is the message with an update_requested.
func keyUpdate(requested byte) []byte { return handshakeMessage(24, []byte{requested}) }

var badClients = slices.Concat(badBytes, badRecords, badHellos, badHandshakes, badLater, badManners)

// badBytes are no TLS at all.
var badBytes = []badClient{
	{name: "garbage", play: sends(func(*badPeer) []byte { return bytes.Repeat([]byte("\x00\xff\x7fgarbage\r\n"), 8) }), want: one("400")},
	{name: "plain_http", play: sends(func(*badPeer) []byte { return []byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n") }), want: one("400")},
	{name: "plain_http_end", play: func(c *badPeer) string {
		c.send([]byte("G"))
		c.closeWrite()
		return c.answer()
	}, want: one("end", "400")},
	{name: "nothing_end", play: func(c *badPeer) string {
		c.closeWrite()
		return c.answer()
	}, want: one("end")},
	{name: "ssl2_hello", play: sends(func(*badPeer) []byte {
		body := append([]byte{1, 0, 2, 0, 9, 0, 0, 0, 16, 1, 0, 0x80, 7, 0, 0xc0, 3, 0, 0x80}, make([]byte, 16)...)
		return append([]byte{0x80, byte(len(body))}, body...)
	}), want: one("end", "alert protocol_version", "alert handshake_failure", "alert unexpected_message", "400")},
	{name: "alert_first", play: sends(func(*badPeer) []byte { return plain(typeAlert, []byte{2, 40}) }), want: one("400", "end")},
	{name: "data_first", play: sends(func(*badPeer) []byte { return plain(typeApplication, []byte("hello")) }), want: one("400")},
	{name: "heartbeat_first", play: sends(func(*badPeer) []byte { return plain(typeHeartbeat, []byte{1, 0x40, 0}) }), want: one("400")},
	{name: "change_cipher_spec_first", play: sends(func(*badPeer) []byte { return plain(typeChangeCipherSpec, []byte{1}) }), want: one("400")},
}

// badRecords are wrong below the handshake.
var badRecords = []badClient{
	{name: "oversized_record", play: sends(func(*badPeer) []byte {
		return append(header(typeHandshake, 0x0301, 18689), make([]byte, 18689)...)
	}), want: one("alert record_overflow")},
	{name: "oversized_plaintext", play: sends(func(*badPeer) []byte {
		message := handshakeMessage(1, make([]byte, 16381))
		return append(header(typeHandshake, 0x0301, len(message)), message...)
	}), want: one("alert record_overflow")},
	{name: "empty_records", play: sends(func(*badPeer) []byte {
		return bytes.Repeat(header(typeHandshake, 0x0301, 0), 100)
	}), want: one("alert unexpected_message")},
	{name: "empty_alerts", play: sends(func(c *badPeer) []byte {
		return append(c.hello().records()[:20], bytes.Repeat(header(typeAlert, 0x0301, 0), 50)...)
	}), want: one("alert unexpected_message", "end")},
	{name: "version_of_record", play: sends(func(c *badPeer) []byte {
		b := c.hello().records()
		b[1], b[2] = 5, 5
		return b
	}), want: one("hello", "alert protocol_version"), nginx: one("alert protocol_version", "end"),
		why: "a server must ignore it (RFC 8446 section 5.1)"},
	{name: "version_of_later_record", play: tampers(tls.VersionTLS12, func(_ *keyLog, record []byte) []byte {
		if record[0] == typeChangeCipherSpec {
			record[1] = 5
		}
		return record
	}), want: one("alert protocol_version")},
	{name: "dribbled", play: func(c *badPeer) string {
		conn, _ := c.begin(tls.VersionTLS13, func(_ *keyLog, record []byte) []byte {
			for _, b := range record[:len(record)-1] {
				c.send([]byte{b})
			}
			return record[len(record)-1:]
		})
		return c.ask(conn)
	}, want: one("served")},
	{name: "hello_in_pieces", play: tampers(tls.VersionTLS13, inPieces(16)), want: one("served")},
	{name: "hello_in_bytes_12", play: tampers(tls.VersionTLS12, inPieces(1)), want: one("served")},
	{name: "hello_with_empty_piece", play: func(c *badPeer) string {
		b := c.hello().records()
		c.send(fragments(b[5:105], 100), header(typeHandshake, 0x0301, 0), fragments(b[105:], 16384))
		return c.answer()
	}, want: one("hello", "alert unexpected_message"), why: "RFC 8446 section 5.1 forbids it, TLS 1.2 does not; the version is not known yet"},
	{name: "alert_inside_hello", play: func(c *badPeer) string {
		b := c.hello().records()
		c.send(fragments(b[5:105], 100), plain(typeAlert, []byte{1, 90}), fragments(b[105:], 16384))
		return c.answer()
	}, want: one("alert unexpected_message", "end", "hello")},
}

// inPieces puts each handshake record that is not encrypted into records of size bytes.
func inPieces(size int) func(*keyLog, []byte) []byte {
	first := sync.Once{}
	return func(_ *keyLog, record []byte) []byte {
		first.Do(func() { record = fragments(record[5:], size) })
		return record
	}
}

// badHellos are wrong in what the first message says.
var badHellos = []badClient{
	{name: "empty_hello", play: sends(func(*badPeer) []byte { return fragments(handshakeMessage(1, nil), 100) }),
		want: one("alert decode_error", "alert unexpected_message")},
	{name: "huge_length", play: sends(func(c *badPeer) []byte {
		b := c.hello().records()
		b[6], b[7], b[8] = 0xff, 0xff, 0xff
		return b
	}), want: one("alert internal_error", "alert illegal_parameter", "alert decode_error", "alert unexpected_message")},
	{name: "another_message", play: sends(func(*badPeer) []byte { return fragments(handshakeMessage(2, make([]byte, 40)), 100) }),
		want: one("alert unexpected_message", "alert decode_error")},
	{name: "trailing_bytes", play: edits(func(h *hello) { h.trailer = []byte("more") }), want: one("alert decode_error")},
	{name: "odd_suites", play: edits(func(h *hello) { h.suites = h.suites[:5] }), want: one("alert decode_error")},
	{name: "no_suites", play: edits(func(h *hello) { h.suites = nil }),
		want: one("alert decode_error", "alert handshake_failure", "alert illegal_parameter")},
	{name: "session_id_too_long", play: edits(func(h *hello) { h.session = make([]byte, 33) }),
		want: one("alert decode_error", "alert illegal_parameter", "hello"), nginx: one("alert decode_error", "alert illegal_parameter"),
		why: "crypto/tls takes an identifier of any length, which TLS 1.3 has no use for"},
	{name: "no_null_compression", play: edits(func(h *hello) { h.compression = []byte{1} }),
		want: one("alert illegal_parameter", "alert handshake_failure", "alert decode_error")},
	{name: "duplicate_extension", play: edits(func(h *hello) {
		h.extensions = append(h.extensions, extension{extServerName, h.get(extServerName)})
	}), want: one("alert decode_error", "alert illegal_parameter")},
	{name: "no_common_version", play: edits(func(h *hello) { h.set(extSupportedVersions, append([]byte{2}, u16(0x0302)...)) }),
		want: one("alert protocol_version")},
	{name: "old_version", play: edits(func(h *hello) { h.version = 0x0301; h.drop(extSupportedVersions) }), want: one("alert protocol_version")},
	{name: "ssl3_version", play: edits(func(h *hello) { h.version = 0x0300; h.drop(extSupportedVersions) }), want: one("alert protocol_version"),
		nginx: one("alert protocol_version", "alert handshake_failure")},
	{name: "no_versions", play: edits(func(h *hello) { h.set(extSupportedVersions, []byte{0}) }), want: one("alert decode_error"),
		nginx: one("alert protocol_version"), why: "OpenSSL reads an empty list as one without a version it knows"},
	{name: "unknown_versions", play: edits(func(h *hello) { h.set(extSupportedVersions, append([]byte{4}, u16(0x7a7a, 0x0305)...)) }),
		want: one("alert protocol_version")},
	{name: "no_common_suite_12", play: edits(func(h *hello) { h.suites = u16(0x002f, 0x000a); h.drop(extSupportedVersions) }),
		want: one("alert handshake_failure")},
	{name: "no_common_suite_13", play: edits(func(h *hello) {
		h.suites = u16(0x13ff, 0x1399)
		h.set(extSupportedVersions, append([]byte{2}, u16(0x0304)...))
	}), want: one("alert handshake_failure")},
	{name: "null_and_export_suites", play: edits(func(h *hello) { h.suites = u16(0x0001, 0x0003, 0xc010, 0x0018); h.drop(extSupportedVersions) }),
		want: one("alert handshake_failure")},
	{name: "fallback", play: edits(func(h *hello) { h.suites = append(h.suites, u16(0x5600)...); h.drop(extSupportedVersions) }),
		want: one("alert inappropriate_fallback")},
	{name: "no_common_group", play: edits(func(h *hello) {
		h.set(extSupportedGroups, list(u16(0x001e)))
		h.set(extKeyShare, list(append(u16(0x001e), list(make([]byte, 56))...)))
	}), want: one("alert handshake_failure")},
	{name: "key_share_short", play: edits(func(h *hello) { h.set(extKeyShare, list(append(u16(0x001d), list(make([]byte, 31))...))) }),
		want: one("alert illegal_parameter", "alert decode_error")},
	{name: "key_share_zero", play: edits(func(h *hello) { h.set(extKeyShare, list(append(u16(0x001d), list(make([]byte, 32))...))) }),
		want: one("alert illegal_parameter"), nginx: one("alert internal_error", "alert illegal_parameter"), why: "OpenSSL 3.0 calls it its own failure"},
	{name: "key_share_off_curve", play: edits(func(h *hello) {
		h.set(extKeyShare, list(append(u16(0x0017), list(append([]byte{4}, bytes.Repeat([]byte{7}, 64)...))...)))
	}), want: one("alert illegal_parameter")},
	{name: "key_share_garbled", play: edits(func(h *hello) { h.set(extKeyShare, []byte{0, 200, 0}) }), want: one("alert decode_error")},
	{name: "no_signature_algorithms", play: edits(func(h *hello) { h.drop(extSignatureAlgorithms) }),
		want: one("alert missing_extension", "alert handshake_failure")},
	{name: "unknown_signature_algorithms", play: edits(func(h *hello) { h.set(extSignatureAlgorithms, list(u16(0xfefe))) }),
		want: one("alert handshake_failure")},
	{name: "alpn_empty", play: edits(func(h *hello) { h.set(extALPN, list(nil)) }), want: one("alert decode_error")},
	{name: "alpn_unknown", play: edits(func(h *hello) { h.set(extALPN, list([]byte("\x07unknown"))) }), want: one("alert no_application_protocol")},
	{name: "server_name_garbled", play: edits(func(h *hello) { h.set(extServerName, []byte{0, 90, 0, 0, 1}) }), want: one("alert decode_error")},
	{name: "server_name_with_nul", play: edits(func(h *hello) { h.set(extServerName, list(append([]byte{0}, list([]byte("a\x00b"))...))) }),
		want: one("hello", "alert decode_error", "alert unrecognized_name", "alert illegal_parameter"),
		why:  "chosen by name, it is the default server's"},
	{name: "wrong_server_name", play: func(c *badPeer) string {
		c.conn = c.port("reject")
		c.send(c.hello().records())
		return c.answer()
	}, want: one("alert unrecognized_name")},
	{name: "huge_session_ticket", play: edits(func(h *hello) { h.set(extSessionTicket, make([]byte, 40000)); h.drop(extSupportedVersions) }),
		want: one("hello"), nginx: one("hello", "alert illegal_parameter"), why: "OpenSSL 3.0 takes at most 32 KB"},
	{name: "psk_garbage", play: edits(func(h *hello) {
		h.set(extPSKModes, []byte{1, 1})
		h.set(extPreSharedKey, pskOf(64, 32))
	}), want: one("hello")},
	{name: "psk_not_last", play: edits(func(h *hello) {
		h.set(extPSKModes, []byte{1, 1})
		h.extensions = append([]extension{{extPreSharedKey, pskOf(64, 32)}}, h.extensions...)
	}), want: one("alert illegal_parameter", "alert decode_error")},
	{name: "psk_without_binder", play: edits(func(h *hello) {
		h.set(extPSKModes, []byte{1, 1})
		h.set(extPreSharedKey, append(list(append(list(make([]byte, 64)), 0, 0, 0, 0)), 0, 0))
	}), want: one("alert decode_error", "alert illegal_parameter", "alert handshake_failure"), nginx: one("hello"),
		why: "OpenSSL looks at binders only for an identity it knows"},
	{name: "early_data", play: func(c *badPeer) string {
		h := c.hello()
		h.set(extPSKModes, []byte{1, 1}).set(extEarlyData, nil).set(extPreSharedKey, pskOf(64, 32))
		c.send(h.records(), plain(typeApplication, make([]byte, 200)))
		return c.answer()
	}, want: one("alert unsupported_extension", "hello"), nginx: one("hello"),
		why: "no ticket of ours allows early data, so a client that sends some broke RFC 8446 section 4.2.10; OpenSSL skips it"},
	{name: "heartbeat_offered", play: edits(func(h *hello) { h.set(extHeartbeat, []byte{1}) }), want: one("hello")},
}

// pskOf is a pre_shared_key extension of noise with an identity and a binder of given sizes.
func pskOf(identity, binder int) []byte {
	offer := list(append(list(bytes.Repeat([]byte{0x5a}, identity)), 0, 0, 0, 1))
	return append(offer, list(append([]byte{byte(binder)}, make([]byte, binder)...))...)
}

// badHandshakes go wrong behind the hello.
var badHandshakes = []badClient{
	{name: "hello_cut_end", play: func(c *badPeer) string {
		c.send(c.hello().records()[:60])
		c.closeWrite()
		return c.answer()
	}, want: one("end")},
	{name: "hello_cut_silence", play: sends(func(c *badPeer) []byte { return c.hello().records()[:60] }), want: one("end")},
	{name: "hello_cut_reset", play: func(c *badPeer) string {
		c.send(c.hello().records()[:60])
		proc.NewRaw(c.conn).Reset()
		return "reset"
	}, want: one("reset")},
	{name: "close_after_server_hello", play: func(c *badPeer) string {
		c.send(c.hello().records())
		got := c.answer()
		c.conn.Close()
		return got
	}, want: one("hello")},
	{name: "silence_after_server_hello", play: func(c *badPeer) string {
		c.send(c.hello().records())
		return c.answerAfter(1)
	}, want: one("end")},
	{name: "two_hellos", play: func(c *badPeer) string {
		c.send(c.hello().records(), c.hello().records())
		return c.encrypted(1)
	}, want: one("ends after hello")},
	{name: "data_before_finished", play: func(c *badPeer) string {
		c.send(c.hello().records(), plain(typeApplication, make([]byte, 100)))
		return c.encrypted(1)
	}, want: one("ends after hello")},
	{name: "heartbeat_in_handshake", play: func(c *badPeer) string {
		c.send(c.hello().records(), plain(typeHeartbeat, []byte{1, 0x40, 0}))
		return c.encrypted(1)
	}, want: one("ends after hello")},
	{name: "heartbeat_in_handshake_12", play: func(c *badPeer) string {
		h := c.hello()
		h.drop(extSupportedVersions)
		c.send(h.records(), plain(typeHeartbeat, []byte{1, 0x40, 0}))
		return c.answerAfter(1)
	}, want: one("alert unexpected_message")},
	{name: "data_before_finished_12", play: func(c *badPeer) string {
		h := c.hello()
		h.drop(extSupportedVersions)
		c.send(h.records(), plain(typeApplication, []byte(closing("/tls"))))
		return c.answerAfter(1)
	}, want: one("alert unexpected_message")},
	{name: "key_exchange_garbage_12", play: func(c *badPeer) string {
		h := c.hello()
		h.drop(extSupportedVersions)
		c.send(h.records(), plain(typeHandshake, handshakeMessage(16, append([]byte{32}, make([]byte, 31)...))))
		return c.answerAfter(1)
	}, want: one("alert decode_error", "alert illegal_parameter", "alert unexpected_message", "alert handshake_failure")},
	{name: "early_change_cipher_spec_12", play: func(c *badPeer) string {
		h := c.hello()
		h.drop(extSupportedVersions)
		c.send(h.records(), plain(typeChangeCipherSpec, []byte{1}))
		return c.answerAfter(1)
	}, want: one("alert unexpected_message")},
	{name: "same_hello_after_retry", play: func(c *badPeer) string {
		h := c.hello()
		h.set(extKeyShare, list(nil))
		c.send(h.records(), plain(typeChangeCipherSpec, []byte{1}), plain(typeHandshake, handshakeMessage(1, h.body())))
		return c.answerAfter(1)
	}, want: one("alert illegal_parameter"), nginx: one("alert illegal_parameter", "alert missing_extension")},
	{name: "change_cipher_spec_flood", play: func(c *badPeer) string {
		conn, _ := c.begin(tls.VersionTLS13, func(_ *keyLog, record []byte) []byte {
			if record[0] == typeChangeCipherSpec {
				return bytes.Repeat(record, 100)
			}
			return record
		})
		return c.ask(conn)
	}, want: one("alert unexpected_message"), nginx: one("served", "alert unexpected_message"), why: "OpenSSL 3.0 doesn't count them"},
	{name: "change_cipher_spec_wrong", play: tampers(tls.VersionTLS13, func(_ *keyLog, record []byte) []byte {
		if record[0] == typeChangeCipherSpec {
			record[5] = 2
		}
		return record
	}), want: one("alert unexpected_message", "alert decode_error", "alert illegal_parameter"),
		nginx: one("alert unexpected_message", "alert illegal_parameter", "end"), why: "nginx resets what it has not read, and with it the alert"},
	{name: "wrong_finished", play: finished(func(s *sealer, record []byte) []byte {
		inner, err := s.open(record)
		if err != nil {
			return nil
		}
		inner[10] ^= 1
		s.seq = 0
		return s.sealInner(inner)
	}), want: one("alert decrypt_error")},
	{name: "finished_not_authentic", play: finished(func(_ *sealer, record []byte) []byte {
		record[20] ^= 1
		return record
	}), want: one("alert bad_record_mac")},
	{name: "finished_missing", play: finished(func(*sealer, []byte) []byte { return nil }), want: one("alert bad_record_mac"),
		why: "the request comes in its place, under other keys"},
	{name: "finished_not_authentic_12", play: func(c *badPeer) string {
		changed := false
		conn, _ := c.begin(tls.VersionTLS12, func(_ *keyLog, record []byte) []byte {
			if changed {
				record[len(record)-1] ^= 1
			}
			changed = record[0] == typeChangeCipherSpec
			return record
		})
		return c.ask(conn)
	}, want: one("alert bad_record_mac")},
	{name: "finished_behind_data", play: finished(func(s *sealer, record []byte) []byte {
		s.seq = 0
		return append(s.sealInner(append([]byte("early"), typeApplication)), record...)
	}), want: one("alert unexpected_message")},
	{name: "client_certificate_missing", play: withCertificate(nil), want: one("refused")},
	{name: "client_certificate_garbage", play: withCertificate(func(c *badPeer) tls.Certificate {
		pair := theWorld(c.t).clients["good"]
		return tls.Certificate{Certificate: [][]byte{bytes.Repeat([]byte{0x30, 0x03}, 100)}, PrivateKey: pair.Key, Leaf: pair.Cert}
	}), want: one("alert bad_certificate", "alert decode_error"), nginx: one("alert bad_certificate", "alert decode_error", "end"),
		why: "nginx resets what it has not read, and with it the alert"},
	{name: "client_certificate_of_another", play: withCertificate(func(c *badPeer) tls.Certificate {
		good, other := theWorld(c.t).clients["good"], theWorld(c.t).clients["expired"]
		return tls.Certificate{Certificate: [][]byte{good.Cert.Raw}, PrivateKey: other.Key, Leaf: good.Cert}
	}), want: one("alert decrypt_error")},
	{name: "client_certificate_good", play: withCertificate(func(c *badPeer) tls.Certificate { return theWorld(c.t).clients["good"].TLS() }), want: one("served")},
}

// encrypted reads up to the end behind a hello, where an alert is encrypted.
func (c *badPeer) encrypted(hellos int) string {
	if got := c.answerAfter(hellos); got != "end" {
		return got
	}
	return "ends after hello"
}

// withCertificate plays a client with a certificate at a server that asks for one.
func withCertificate(make func(c *badPeer) tls.Certificate) func(c *badPeer) string {
	return func(c *badPeer) string {
		c.conn = c.port("verify")
		if make != nil {
			cert := make(c)
			c.config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
		}
		conn, _ := c.begin(tls.VersionTLS13, nil)
		return c.ask(conn)
	}
}

// badLater go wrong when the handshake is long over.
var badLater = []badClient{
	{name: "bad_mac", play: says(tls.VersionTLS13, func(s *sealer) []byte {
		b := s.seal(typeApplication, []byte(closing("/tls")))
		b[8] ^= 1
		return b
	}), want: one("alert bad_record_mac")},
	{name: "bad_mac_12", play: says(tls.VersionTLS12, func(s *sealer) []byte {
		b := s.seal(typeApplication, []byte(closing("/tls")))
		b[len(b)-1] ^= 1
		return b
	}), want: one("alert bad_record_mac")},
	{name: "replayed", play: says(tls.VersionTLS13, func(s *sealer) []byte {
		b := s.seal(typeApplication, []byte("GET /tls HTTP/1.1\r\nX-First-Half: "))
		return append(b, b...)
	}), want: one("alert bad_record_mac")},
	{name: "truncated_record_end", play: func(c *badPeer) string {
		conn, s := c.established(tls.VersionTLS13)
		if s == nil {
			return "no handshake"
		}
		b := s.seal(typeApplication, []byte(closing("/tls")))
		c.send(b[:len(b)/2])
		c.closeWrite()
		return c.rest(conn)
	}, want: one("end")},
	{name: "end_without_close_notify", play: func(c *badPeer) string {
		conn, s := c.established(tls.VersionTLS13)
		if s == nil {
			return "no handshake"
		}
		c.closeWrite()
		return c.rest(conn)
	}, want: one("end")},
	{name: "reset_later", play: func(c *badPeer) string {
		_, _ = c.established(tls.VersionTLS13)
		proc.NewRaw(c.conn).Reset()
		return "reset"
	}, want: one("reset")},
	{name: "oversized_later", play: says(tls.VersionTLS13, func(*sealer) []byte {
		return append(header(typeApplication, 0x0303, 16384+257), make([]byte, 16384+257)...)
	}), want: one("alert record_overflow")},
	{name: "no_type_inside", play: says(tls.VersionTLS13, func(s *sealer) []byte { return s.sealInner(make([]byte, 100)) }),
		want: one("alert unexpected_message")},
	{name: "padded", play: says(tls.VersionTLS13, func(s *sealer) []byte {
		return s.sealInner(append(append([]byte(closing("/tls")), typeApplication), make([]byte, 5000)...))
	}), want: one("served")},
	{name: "empty_data_flood", play: says(tls.VersionTLS13, func(s *sealer) []byte {
		var out []byte
		for range 200 {
			out = append(out, s.seal(typeApplication, nil)...)
		}
		return out
	}), want: one("alert unexpected_message"), nginx: one("alert unexpected_message", "end")},
	{name: "key_update", play: says(tls.VersionTLS13, func(s *sealer) []byte {
		out := s.seal(typeHandshake, keyUpdate(1))
		suite := tls.TLS_AES_128_GCM_SHA256
		if len(s.secret) == 48 {
			suite = tls.TLS_AES_256_GCM_SHA384
		}
		next, err := s.update(suite)
		if err != nil {
			return nil
		}
		return append(out, next.seal(typeApplication, []byte(closing("/tls")))...)
	}), want: one("served")},
	{name: "key_update_flood", play: saysLast(tls.VersionTLS13, func(s *sealer) []byte {
		suite := tls.TLS_AES_128_GCM_SHA256
		if len(s.secret) == 48 {
			suite = tls.TLS_AES_256_GCM_SHA384
		}
		var out []byte
		for range 200 {
			out = append(out, s.seal(typeHandshake, keyUpdate(0))...)
			next, err := s.update(suite)
			if err != nil {
				return nil
			}
			*s = *next
		}
		return out
	}), want: one("alert unexpected_message"), nginx: one("end"), why: "OpenSSL 3.0 doesn't count them"},
	{name: "key_update_wrong", play: says(tls.VersionTLS13, func(s *sealer) []byte { return s.seal(typeHandshake, keyUpdate(2)) }),
		want: one("alert illegal_parameter", "alert decode_error")},
	{name: "key_update_long", play: says(tls.VersionTLS13, func(s *sealer) []byte { return s.seal(typeHandshake, handshakeMessage(24, []byte{0, 0})) }),
		want: one("alert decode_error", "alert illegal_parameter")},
	{name: "hello_later", play: says(tls.VersionTLS13, func(s *sealer) []byte { return s.seal(typeHandshake, handshakeMessage(1, make([]byte, 60))) }),
		want: one("alert unexpected_message")},
	{name: "ticket_to_server", play: says(tls.VersionTLS13, func(s *sealer) []byte { return s.seal(typeHandshake, handshakeMessage(4, make([]byte, 60))) }),
		want: one("alert unexpected_message")},
	{name: "finished_later", play: says(tls.VersionTLS13, func(s *sealer) []byte { return s.seal(typeHandshake, handshakeMessage(20, make([]byte, 32))) }),
		want: one("alert unexpected_message")},
	{name: "heartbeat_later", play: says(tls.VersionTLS13, func(s *sealer) []byte { return s.seal(typeHeartbeat, []byte{1, 0x40, 0}) }),
		want: one("alert unexpected_message")},
	{name: "heartbeat_later_12", play: says(tls.VersionTLS12, func(s *sealer) []byte { return s.seal(typeHeartbeat, []byte{1, 0x40, 0}) }),
		want: one("alert unexpected_message")},
	{name: "change_cipher_spec_later", play: says(tls.VersionTLS13, func(*sealer) []byte { return plain(typeChangeCipherSpec, []byte{1}) }),
		want: one("alert unexpected_message")},
	{name: "plain_data_later", play: says(tls.VersionTLS13, func(*sealer) []byte { return plain(typeApplication, []byte(closing("/tls"))) }),
		want: one("alert bad_record_mac")},
	{name: "plain_http_later", play: says(tls.VersionTLS13, func(*sealer) []byte { return []byte(closing("/tls")) }),
		want: one("alert protocol_version", "alert record_overflow", "alert unexpected_message")},
	{name: "fatal_alert_later", play: says(tls.VersionTLS13, func(s *sealer) []byte { return s.seal(typeAlert, []byte{2, 80}) }), want: one("end")},
	{name: "long_alert_later", play: says(tls.VersionTLS13, func(s *sealer) []byte { return s.seal(typeAlert, []byte{2, 80, 0}) }),
		want: one("alert unexpected_message", "alert decode_error", "alert illegal_parameter")},
	{name: "warning_flood_12", play: says(tls.VersionTLS12, func(s *sealer) []byte {
		var out []byte
		for range 100 {
			out = append(out, s.seal(typeAlert, []byte{1, 90})...)
		}
		return out
	}), want: one("alert unexpected_message")},
	{name: "close_notify_then_data", play: says(tls.VersionTLS13, func(s *sealer) []byte {
		return append(s.seal(typeAlert, []byte{1, 0}), s.seal(typeApplication, []byte(closing("/tls")))...)
	}), want: one("end")},
	{name: "renegotiation_12", play: saysLast(tls.VersionTLS12, func(s *sealer) []byte {
		h := hello{version: 0x0303, random: make([]byte, 32), suites: u16(0xc02b), compression: []byte{0}}
		return s.seal(typeHandshake, handshakeMessage(1, h.body()))
	}), want: one("alert unexpected_message", "end"), nginx: one("alert handshake_failure", "end"),
		why: "no_renegotiation is a warning, which crypto/tls, reading here, drops"},
	{name: "hello_request_12", play: says(tls.VersionTLS12, func(s *sealer) []byte { return s.seal(typeHandshake, handshakeMessage(0, nil)) }),
		want: one("alert unexpected_message", "end"), why: "no_renegotiation is a warning, which crypto/tls, reading here, drops"},
}

// badManners break nothing but are a burden.
var badManners = []badClient{
	{name: "never_reads", play: func(c *badPeer) string {
		conn, _ := c.begin(tls.VersionTLS13, nil)
		if _, err := io.WriteString(conn, "GET /down?size=30000000&framing=length HTTP/1.1\r\nHost: "+host+"\r\n\r\n"); err != nil {
			return ended(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, 15)); err != nil {
			return ended(err)
		}
		probe(c.t, c.conn.RemoteAddr().String())
		return "served"
	}, want: one("served")},
	{name: "many_half_open", play: func(c *badPeer) string {
		part := c.hello().records()[:100]
		for range 200 {
			conn := c.dial()
			if _, err := conn.Write(part); err != nil {
				return err.Error()
			}
		}
		for range 5 {
			probe(c.t, c.conn.RemoteAddr().String())
		}
		return "served"
	}, want: one("served")},
	{name: "half_close_by_close_notify", play: func(c *badPeer) string {
		conn, _ := c.begin(tls.VersionTLS13, nil)
		_, err := io.WriteString(conn, strings.Replace(closing("/down?size=100000&framing=length"), "close", "close", 1))
		if err == nil {
			err = conn.CloseWrite()
		}
		if err != nil {
			return ended(err)
		}
		_ = c.conn.SetReadDeadline(time.Now().Add(proc.Patience))
		return c.rest(conn)
	}, want: one("served"), nginx: one("served", "end"), why: "nginx takes close_notify for the client's end"},
}
