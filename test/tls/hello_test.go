package tls_test

import (
	"crypto/tls"
	"encoding/binary"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"holdfast/test/proc"
)

// errTimeout is what a read or write past its deadline returns.
var errTimeout = os.ErrDeadlineExceeded

// clientHello is the first flight of a Go client with a configuration, one record.
func clientHello(t *testing.T, config *tls.Config) []byte {
	t.Helper()
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	go func() { _ = tls.Client(near, config).Handshake() }()
	_ = far.SetReadDeadline(time.Now().Add(proc.Patience))
	record, err := readRecord(far)
	if err != nil {
		t.Fatal(err)
	}
	return record
}

// The extensions that the bad clients change (RFC 8446 section 4.2).
const (
	extServerName          = 0
	extSupportedGroups     = 10
	extSignatureAlgorithms = 13
	extHeartbeat           = 15
	extALPN                = 16
	extSessionTicket       = 35
	extPreSharedKey        = 41
	extEarlyData           = 42
	extSupportedVersions   = 43
	extPSKModes            = 45
	extKeyShare            = 51
)

// hello is a ClientHello in its parts (RFC 8446 section 4.1.2).
type hello struct {
	version     uint16
	random      []byte
	session     []byte
	suites      []byte
	compression []byte
	extensions  []extension
	trailer     []byte // behind the extensions, where nothing belongs
}

type extension struct {
	kind uint16
	body []byte
}

// parseHello takes a record of clientHello apart.
func parseHello(record []byte) *hello {
	b := record[9:]
	h := &hello{version: binary.BigEndian.Uint16(b), random: b[2:34]}
	b = b[34:]
	vector := func(lengthBytes int) []byte {
		n := 0
		for _, digit := range b[:lengthBytes] {
			n = n<<8 | int(digit)
		}
		v := slices.Clone(b[lengthBytes : lengthBytes+n])
		b = b[lengthBytes+n:]
		return v
	}
	h.session, h.suites, h.compression = vector(1), vector(2), vector(1)
	b = vector(2)
	for len(b) > 0 {
		kind := binary.BigEndian.Uint16(b)
		b = b[2:]
		h.extensions = append(h.extensions, extension{kind, vector(2)})
	}
	return h
}

// body is the message without its header.
func (h *hello) body() []byte {
	out := binary.BigEndian.AppendUint16(nil, h.version)
	out = append(out, h.random...)
	out = append(append(out, byte(len(h.session))), h.session...)
	out = append(binary.BigEndian.AppendUint16(out, uint16(len(h.suites))), h.suites...)
	out = append(append(out, byte(len(h.compression))), h.compression...)
	var all []byte
	for _, e := range h.extensions {
		all = binary.BigEndian.AppendUint16(all, e.kind)
		all = append(binary.BigEndian.AppendUint16(all, uint16(len(e.body))), e.body...)
	}
	out = append(binary.BigEndian.AppendUint16(out, uint16(len(all))), all...)
	return append(out, h.trailer...)
}

// records is the hello in as many records as it takes.
func (h *hello) records() []byte {
	return fragments(handshakeMessage(1, h.body()), 16384)
}

// fragments puts a handshake message into records of at most size bytes.
func fragments(message []byte, size int) []byte {
	var out []byte
	for piece := range slices.Chunk(message, size) {
		out = append(append(out, header(typeHandshake, 0x0301, len(piece))...), piece...)
	}
	return out
}

// set gives an extension a body, at the end if there was none.
func (h *hello) set(kind uint16, body []byte) *hello {
	for i := range h.extensions {
		if h.extensions[i].kind == kind {
			h.extensions[i].body = body
			return h
		}
	}
	h.extensions = append(h.extensions, extension{kind, body})
	return h
}

// drop takes an extension away.
func (h *hello) drop(kind uint16) *hello {
	h.extensions = slices.DeleteFunc(h.extensions, func(e extension) bool { return e.kind == kind })
	return h
}

// get is the body of an extension.
func (h *hello) get(kind uint16) []byte {
	for _, e := range h.extensions {
		if e.kind == kind {
			return e.body
		}
	}
	return nil
}
