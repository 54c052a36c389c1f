package tlsio

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"hash"
)

// secrets are what crypto/tls tells of a connection's keys. It is the KeyLogWriter of one
// handshake: nothing is written anywhere.
type secrets struct {
	client, server [48]byte // traffic secrets (RFC 8446 section 7.1)
	tls13          bool     // they are known
	master         [48]byte // of TLS 1.2
	tls12          bool     // it is known
	out            keys     // of a server of TLS 1.3, to count tickets
}

var errSecrets = errors.New("internal error: no secrets")

// Write is given one line of NSS's key log format: a label, the client's random and a
// secret, in hexadecimal.
func (s *secrets) Write(line []byte) (int, error) {
	label, rest, _ := bytes.Cut(line, []byte(" "))
	_, value, _ := bytes.Cut(rest, []byte(" "))
	value = bytes.TrimRight(value, "\n")
	if len(value) > 2*len(s.master) {
		return len(line), nil
	}
	var err error
	switch string(label) {
	case "CLIENT_RANDOM":
		_, err = hex.Decode(s.master[:], value)
		s.tls12 = err == nil
	case "CLIENT_TRAFFIC_SECRET_0":
		_, err = hex.Decode(s.client[:], value)
	case "SERVER_TRAFFIC_SECRET_0":
		_, err = hex.Decode(s.server[:], value)
		s.tls13 = err == nil
	}
	return len(line), err
}

// resume takes the master secret of a TLS 1.2 session that is resumed, which crypto/tls
// doesn't log. SessionState.Bytes begins with a version, a type, a suite (2, 1 and 2
// bytes), a time (8) and the secret with its length before it; wire.finished tells
// whether that still holds.
func (s *secrets) resume(state *tls.SessionState) {
	const at = 2 + 1 + 2 + 8
	b, err := state.Bytes()
	if err == nil && len(b) > at+len(s.master) && int(b[at]) == len(s.master) {
		copy(s.master[:], b[at+1:])
		s.tls12 = true
	}
	clear(b)
}

// wipe overwrites what is known.
func (s *secrets) wipe() { *s = secrets{} }

// opens reports whether record opens as record seq with a TLS 1.3 server's key for the
// application.
func (s *secrets) opens(suite uint16, record []byte, seq uint64) bool {
	if !Supported(TLS13, suite) {
		return false
	}
	if s.out.aead == nil {
		s.out.expand(TLS13, suite, &s.server)
	}
	var nonce [12]byte
	s.out.nonce(&nonce, seq)
	_, err := s.out.aead.Open(nil, nonce[:], record[recordHeader:], record[:recordHeader])
	return err == nil
}

// establish makes of a finished handshake what the record layer needs.
func (w *wire) establish(state *tls.ConnectionState) (e Established, err error) {
	e = Established{Version: Version(state.Version), Suite: state.CipherSuite, Client: w.client}
	kind, ok := kindOf(e.Version, e.Suite)
	if !ok {
		return e, errors.New("internal error: a suite that is not spoken")
	}
	var client, server Direction
	if e.Version == TLS13 {
		if !w.secrets.tls13 {
			return e, errSecrets
		}
		client.Secret, server.Secret = w.secrets.client, w.secrets.server
		server.Seq = w.sealed
	} else {
		if !w.secrets.tls12 {
			return e, errSecrets
		}
		sent, taken := &w.in.hello, &w.out.hello // the client's and the server's
		if w.client {
			sent, taken = taken, sent
		}
		keyBlock(&w.secrets.master, kind, sent.random(), taken.random(), [2]*Direction{&client, &server})
		client.Seq, server.Seq = w.in.behind, w.out.behind
		if w.client {
			client.Seq, server.Seq = server.Seq, client.Seq
		}
	}
	e.In, e.Out = client, server
	if w.client {
		e.In, e.Out = server, client
	}
	if e.Version == TLS12 && !opensFinished(&e, w.finished) {
		return e, errSecrets
	}
	return e, nil
}

// keyBlock derives the keys of TLS 1.2 with an AEAD (RFC 5246 section 6.3): first the
// client's and the server's key, then their implicit nonces.
func keyBlock(master *[48]byte, kind suiteKind, client, server []byte, to [2]*Direction) {
	newHash := sha256.New
	if kind.sha384 {
		newHash = sha512.New384
	}
	seed := append([]byte("key expansion"), server...)
	seed = append(seed, client...)
	var block [2 * 48]byte
	prf(block[:2*(kind.keyLen+kind.ivLen)], newHash, master[:], seed)
	ivs := block[2*kind.keyLen:]
	for i, d := range to {
		copy(d.Secret[:], block[i*kind.keyLen:][:kind.keyLen])
		copy(d.Secret[kind.keyLen:], ivs[i*kind.ivLen:][:kind.ivLen])
	}
	clear(block[:])
}

// prf is P_hash (RFC 5246 section 5); label and seed are one.
func prf(out []byte, newHash func() hash.Hash, secret, seed []byte) {
	mac := hmac.New(newHash, secret)
	sum := func(parts ...[]byte) []byte {
		mac.Reset()
		for _, p := range parts {
			mac.Write(p)
		}
		return mac.Sum(nil)
	}
	for a := sum(seed); len(out) > 0; a = sum(a) {
		out = out[copy(out, sum(a, seed)):]
	}
}

// opensFinished reports whether our Finished message opens with the derived keys. It is
// the proof that secrets and randoms were the right ones.
func opensFinished(e *Established, record []byte) bool {
	if len(record) < recordHeader+tagLen {
		return false
	}
	var k keys
	k.expand(TLS12, e.Suite, &e.Out.Secret)
	var nonce [12]byte
	k.nonce(&nonce, 0)
	payload := record[recordHeader:]
	if k.explicit {
		copy(nonce[4:], payload[:explicitLen])
		payload = payload[explicitLen:]
	}
	n := len(payload) - tagLen
	if n < 0 {
		return false
	}
	// Sequence number, type, version and the plaintext's length (RFC 5246 section 6.2.3.3).
	ad := append(make([]byte, 8), record[0], record[1], record[2], byte(n>>8), byte(n))
	_, err := k.aead.Open(nil, nonce[:], payload, ad)
	return err == nil
}
