package tlsio_test

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"

	"holdfast/internal/sys"
	"holdfast/tlsio"
)

// TestConnIsSmallAndFlat: an idle connection is 128 bytes that the collector never reads.
func TestConnIsSmallAndFlat(t *testing.T) {
	if tlsio.ConnSizeForTest != 128 {
		t.Errorf("a connection takes %d bytes", tlsio.ConnSizeForTest)
	}
	var flat func(reflect.Type) bool
	flat = func(typ reflect.Type) bool {
		switch typ.Kind() {
		case reflect.Struct:
			for i := range typ.NumField() {
				if !flat(typ.Field(i).Type) {
					return false
				}
			}
			return true
		case reflect.Array:
			return flat(typ.Elem())
		}
		return typ.Kind() >= reflect.Bool && typ.Kind() <= reflect.Complex128
	}
	if !flat(reflect.TypeOf(tlsio.ConnForTest)) {
		t.Error("a connection holds a pointer")
	}
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The application keys and records of RFC 8448 section 3.
const (
	rfc8448ClientSecret = "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5"
	rfc8448ServerSecret = "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643"
	rfc8448Ticket       = `17 03 03 00 de 3a 6b 8f 90 41 4a 97
		d6 95 9c 34 87 68 0d e5 13 4a 2b 24 0e 6c ff ac 11 6e 95 d4 1d 6a f8 f6 b5 80 dc f3 d1 1d 63 c7
		58 db 28 9a 01 59 40 25 2f 55 71 3e 06 1d c1 3e 07 88 91 a3 8e fb cf 57 53 ad 8e f1 70 ad 3c 73
		53 d1 6d 9d a7 73 b9 ca 7f 2b 9f a1 b6 c0 d4 a3 d0 3f 75 e0 9c 30 ba 1e 62 97 2a c4 6f 75 f7 b9
		81 be 63 43 9b 29 99 ce 13 06 46 15 13 98 91 d5 e4 c5 b4 06 f1 6e 3f c1 81 a7 7c a4 75 84 00 25
		db 2f 0a 77 f8 1b 5a b0 5b 94 c0 13 46 75 5f 69 23 2c 86 51 9d 86 cb ee ac 87 aa c3 47 d1 43 f9
		60 5d 64 f6 50 db 4d 02 3e 70 e9 52 ca 49 fe 51 37 12 1c 74 bc 26 97 68 7e 24 87 46 d6 df 35 30
		05 f3 bc e1 86 96 12 9c 81 53 55 6b 3b 6c 67 79 b3 7b f1 59 85 68 4f`
	rfc8448ClientData = `17 03 03 00 43 a2 3f 70 54 b6 2c 94 d0 af fa fe 82 28 ba 55 cb ef ac ea 42 f9 14 aa 66
		bc ab 3f 2b 98 19 a8 a5 b4 6b 39 5b d5 4a 9a 20 44 1e 2b 62 97 4e 1f 5a 62 92 a2 97 70 14 bd 1e 3d
		ea e6 3a ee bb 21 69 49 15 e4`
	rfc8448ServerData = `17 03 03 00 43 2e 93 7e 11 ef 4a c7 40 e5 38 ad 36 00 5f c4 a4 69 32 fc 32 25 d0 5f 82
		aa 1b 36 e3 0e fa f9 7d 90 e6 df fc 60 2d cb 50 1a 59 a8 fc c4 9c 4b f2 e5 f0 a2 1c 00 47 c2 ab f3
		32 54 0d d0 32 e1 67 c2 95 5d`
	rfc8448ClientClose = "17 03 03 00 13 c9 87 27 60 65 56 66 b7 4d 7f f1 15 3e fd 6d b6 d0 b0 e3"
	rfc8448ServerClose = "17 03 03 00 13 b5 8f d6 71 66 eb f5 99 d2 47 20 cf be 7e fa 7a 88 64 a9"
)

// TestRFC8448 replays the application data of RFC 8448 section 3 in both roles: what the
// RFC's peer sent is read, and what we write is what it wrote, byte for byte.
func TestRFC8448(t *testing.T) {
	client, server := unhex(t, rfc8448ClientSecret), unhex(t, rfc8448ServerSecret)
	s := suites[0]
	for name, want := range map[string]string{
		"key": "17422dda596ed5d9acd890e3c63f5051", "iv": "5b78923dee08579033e523d9"} {
		var secret [48]byte
		copy(secret[:], client)
		got := make([]byte, len(want)/2)
		if tlsio.ExpandLabelForTest(got, false, &secret, name); hex.EncodeToString(got) != want {
			t.Errorf("the client's %s: %x", name, got)
		}
	}
	data := make([]byte, 50)
	for i := range data {
		data[i] = byte(i)
	}
	for _, asClient := range []bool{true, false} {
		in, out := server, client
		fromPeer := [][]byte{unhex(t, rfc8448Ticket), unhex(t, rfc8448ServerData), unhex(t, rfc8448ServerClose)}
		fromUs := append(unhex(t, rfc8448ClientData), unhex(t, rfc8448ClientClose)...)
		outSeq := uint64(0)
		if !asClient {
			in, out = client, server
			fromPeer = [][]byte{unhex(t, rfc8448ClientData), unhex(t, rfc8448ClientClose)}
			fromUs = append(unhex(t, rfc8448ServerData), unhex(t, rfc8448ServerClose)...)
			outSeq = 1 // the ticket
		}
		r := newRig(t, s, asClient)
		e := tlsio.Established{Version: s.version, Suite: s.id, Client: asClient}
		copy(e.In.Secret[:], in)
		copy(e.Out.Secret[:], out)
		e.Out.Seq = outSeq
		r.layer.Close(r.id)
		r.id = r.layer.Open(&e, nil)
		if e.In.Secret != [48]byte{} || e.Out.Secret != [48]byte{} {
			t.Error("the secrets were left where they came from")
		}
		for _, rec := range fromPeer {
			r.raw(rec)
		}
		if got, errno := r.recv(1000); !bytes.Equal(got, data) || errno != 0 || r.layer.Truncated(r.id) {
			t.Errorf("client %v: read %x, %v", asClient, got, errno)
		}
		if n, errno := r.layer.Write(r.id, r.fd, data); n != 50 || errno != 0 {
			t.Errorf("write: %d, %v", n, errno)
		}
		if errno := r.layer.CloseNotify(r.id, r.fd); errno != 0 {
			t.Errorf("close_notify: %v", errno)
		}
		if r.pull(); !bytes.Equal(r.unread, fromUs) {
			t.Errorf("client %v: wrote\n%x, want\n%x", asClient, r.unread, fromUs)
		}
		if _, errno := r.layer.Write(r.id, r.fd, data); errno != sys.EPIPE {
			t.Errorf("a write after close_notify: %v", errno)
		}
		r.close()
	}
}

// TestExpandLabel compares our HKDF-Expand-Label with one made of the standard library's
// HKDF.
func TestExpandLabel(t *testing.T) {
	for _, s := range suites[:3] {
		_, _, newHash := s.lengths()
		for range 20 {
			var secret [48]byte
			rand.Read(secret[:newHash().Size()])
			for name, size := range map[string]int{"key": 16, "iv": 12, "traffic upd": newHash().Size()} {
				got := make([]byte, size)
				tlsio.ExpandLabelForTest(got, s.id == tls.TLS_AES_256_GCM_SHA384, &secret, name)
				if want := label(t, s, secret[:newHash().Size()], name, size); !bytes.Equal(got, want) {
					t.Fatalf("%s, %s: %x, want %x", s.name, name, got, want)
				}
			}
		}
	}
}

// TestSupported: every suite that crypto/tls speaks with an AEAD, and no other.
func TestSupported(t *testing.T) {
	for _, c := range append(tls.CipherSuites(), tls.InsecureCipherSuites()...) {
		for _, v := range c.SupportedVersions {
			if v < tls.VersionTLS12 {
				continue
			}
			aead := !strings.Contains(c.Name, "CBC") && !strings.Contains(c.Name, "RC4")
			if got := tlsio.Supported(tlsio.Version(v), c.ID); got != aead {
				t.Errorf("%s in %x: %v", c.Name, v, got)
			}
		}
	}
	if tlsio.Supported(0x0302, tls.TLS_AES_128_GCM_SHA256) || tlsio.Supported(tlsio.TLS13, 0xc02f) {
		t.Error("a suite of another version is supported")
	}
}
