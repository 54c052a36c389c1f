package certs

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"slices"
	"strings"
	"time"
)

// Keys that the process makes are used for an hour, and kept until the last ticket made
// with them is too old.
const ticketKeyLife = time.Hour

// ticketKeys are the keys for the tickets of some servers. The sessions are encrypted by
// crypto/tls (RFC 5077 section 4).
type ticketKeys struct {
	holder tls.Config // has the keys and nothing else
	// made are the keys that the process has made itself, the newest first; none if they
	// come from files.
	made []madeKey
}

type madeKey struct {
	key [32]byte
	at  time.Time
}

// rotate makes a new key when it is time to, and forgets those with which no ticket can
// have been made within timeout.
func (k *ticketKeys) rotate(now time.Time, timeout time.Duration) {
	if len(k.made) > 0 && now.Sub(k.made[0].at) < ticketKeyLife {
		return
	}
	made := madeKey{at: now}
	_, _ = rand.Read(made.key[:]) // never fails
	k.made = slices.Insert(k.made, 0, made)
	k.made = slices.DeleteFunc(k.made, func(m madeKey) bool { return now.Sub(m.at) > 2*ticketKeyLife+timeout })
	keys := make([][32]byte, len(k.made))
	for i := range k.made {
		keys[i] = k.made[i].key
	}
	k.holder.SetSessionTicketKeys(keys)
}

// Sizes of key files: those of nginx with AES-128 and with AES-256.
const (
	ticketFileSmall = 48
	ticketFileLarge = 80
)

// use takes the keys of files.
func (k *ticketKeys) use(files []File) *FileError {
	keys := make([][32]byte, 0, len(files))
	for _, f := range files {
		text, err := read(f)
		if err != nil {
			return err
		}
		if len(text) != ticketFileSmall && len(text) != ticketFileLarge {
			return fault(f, "make it with: openssl rand 80", "a key for tickets has 48 or 80 bytes, this file has %d", len(text))
		}
		keys = append(keys, sha256.Sum256(text))
	}
	k.holder.SetSessionTicketKeys(keys)
	return nil
}

// session is what a ticket carries beside the session: when it was made, and for whom.
type session struct {
	keys    *ticketKeys
	context [sha256.Size]byte
	timeout time.Duration
	now     func() time.Time
}

// sessionMark begins what is ours in a ticket.
const sessionMark = "holdfast"

// contextOf tells servers apart between which a session must not move: those with other
// certificates, or that judge clients otherwise. It doesn't depend on what is in the files,
// so that tickets outlive new certificates.
func contextOf(spec *ServerSpec) [sha256.Size]byte {
	var b strings.Builder
	for _, pair := range spec.Certificates {
		b.WriteString(pair.Certificate.Path + "\x00")
	}
	if spec.AskClient {
		b.WriteString("\x00client\x00" + spec.ClientCA.Path + "\x00" + spec.TrustedCA.Path + "\x00" + spec.CRL.Path + "\x00")
		b.WriteByte(byte(spec.VerifyDepth))
	}
	return sha256.Sum256([]byte(b.String()))
}

// wrap makes a ticket of a session.
func (s *session) wrap(cs tls.ConnectionState, state *tls.SessionState) ([]byte, error) {
	extra := append([]byte(sessionMark), s.context[:]...)
	extra = binary.BigEndian.AppendUint64(extra, uint64(s.now().Unix()))
	state.Extra = append(state.Extra, extra)
	return s.keys.holder.EncryptTicket(cs, state)
}

// unwrap opens a ticket; nil for one that is unknown, too old, or another server's: then a
// full handshake follows.
func (s *session) unwrap(identity []byte, cs tls.ConnectionState) (*tls.SessionState, error) {
	state, err := s.keys.holder.DecryptTicket(identity, cs)
	if err != nil || state == nil {
		return nil, nil //nolint:nilerr // a ticket of no use is no error
	}
	for _, extra := range state.Extra {
		rest, ours := strings.CutPrefix(string(extra), sessionMark)
		if !ours || len(rest) != len(s.context)+8 || rest[:len(s.context)] != string(s.context[:]) {
			continue
		}
		made := time.Unix(int64(binary.BigEndian.Uint64([]byte(rest[len(s.context):]))), 0)
		if age := s.now().Sub(made); age < 0 || age > s.timeout {
			return nil, nil
		}
		// Else a session that is resumed again and again would grow.
		state.Extra = nil
		return state, nil
	}
	return nil, nil
}
