package pki

import (
	"crypto"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"testing"
	"time"
)

// The structures of RFC 6960 section 4.2.1, as far as one good answer needs them.
type (
	ocspResponse struct {
		Status asn1.Enumerated
		Bytes  ocspBytes `asn1:"explicit,tag:0"`
	}
	ocspBytes struct {
		Type     asn1.ObjectIdentifier
		Response []byte
	}
	ocspBasic struct {
		Data      asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	ocspData struct {
		ByKey    []byte    `asn1:"explicit,tag:2"`
		Produced time.Time `asn1:"generalized"`
		Answers  []ocspAnswer
	}
	ocspAnswer struct {
		ID   ocspID
		Good asn1.Flag `asn1:"tag:0"`
		This time.Time `asn1:"generalized"`
		Next time.Time `asn1:"generalized,explicit,tag:0"`
	}
	ocspID struct {
		Hash    pkix.AlgorithmIdentifier
		Name    []byte
		KeyHash []byte
		Serial  *big.Int
	}
)

// OCSP is a signed answer, in DER, that a certificate of this authority is good.
func (a *Authority) OCSP(t testing.TB, p Pair) []byte {
	t.Helper()
	var keyInfo struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(a.Cert.RawSubjectPublicKeyInfo, &keyInfo); err != nil {
		t.Fatal(err)
	}
	name, key := sha1.Sum(a.Cert.RawSubject), sha1.Sum(keyInfo.Key.Bytes)
	now := time.Now().UTC().Truncate(time.Second)
	data := encode(t, ocspData{ByKey: key[:], Produced: now, Answers: []ocspAnswer{{
		ID: ocspID{
			Hash: pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 3, 14, 3, 2, 26}, Parameters: asn1.NullRawValue},
			Name: name[:], KeyHash: key[:], Serial: p.Cert.SerialNumber,
		},
		Good: true, This: now.Add(-time.Hour), Next: now.Add(24 * time.Hour),
	}}})
	digest := crypto.SHA256.New()
	digest.Write(data)
	signature, err := a.Key.Sign(rand.Reader, digest.Sum(nil), crypto.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	basic := encode(t, ocspBasic{
		Data:      asn1.RawValue{FullBytes: data},
		Algorithm: pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, 2}}, // ECDSA with SHA-256
		Signature: asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)},
	})
	return encode(t, ocspResponse{Bytes: ocspBytes{
		Type: asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 48, 1, 1}, Response: basic,
	}})
}

func encode(t testing.TB, v any) []byte {
	t.Helper()
	der, err := asn1.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return der
}
