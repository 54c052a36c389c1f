package certs

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"slices"
	"strings"

	"github.com/youmark/pkcs8"
	"golang.org/x/crypto/ocsp"
)

// KeyPair names a certificate and its key.
type KeyPair struct{ Certificate, Key File }

// loadKeyPair reads a certificate with what belongs to it. The leaf is parsed.
func loadKeyPair(pair KeyPair, passwordFile File) (*tls.Certificate, *FileError) {
	chain, err := loadChain(pair.Certificate)
	if err != nil {
		return nil, err
	}
	key, err := loadKey(pair.Key, passwordFile)
	if err != nil {
		return nil, err
	}
	var chainPEM []byte
	for _, c := range chain {
		chainPEM = append(chainPEM, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})...)
	}
	cert, errPair := tls.X509KeyPair(chainPEM, pem.EncodeToMemory(key))
	if errPair != nil {
		text := strings.TrimPrefix(errPair.Error(), "tls: ")
		if strings.Contains(text, "does not match") {
			return nil, fault(pair.Key, "the certificate is the first one of its file",
				"the key doesn't belong to the certificate in %s", pair.Certificate.Path)
		}
		return nil, fault(pair.Key, "", "the key can't be used: %s", text)
	}
	return &cert, nil
}

// loadChain reads the certificates of a PEM file.
func loadChain(f File) ([]*x509.Certificate, *FileError) {
	text, err := read(f)
	if err != nil {
		return nil, err
	}
	var chain []*x509.Certificate
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" && block.Type != "X509 CERTIFICATE" && block.Type != "TRUSTED CERTIFICATE" {
			continue
		}
		c, errParse := x509.ParseCertificate(block.Bytes)
		if errParse != nil {
			text := strings.TrimPrefix(errParse.Error(), "x509: ")
			return nil, fault(f, "", "certificate %d of the file: %s", len(chain)+1, text)
		}
		chain = append(chain, c)
	}
	if len(chain) == 0 {
		return nil, fault(f, "it must be PEM, with -----BEGIN CERTIFICATE-----", "no certificate in it")
	}
	return chain, nil
}

// loadKey reads the first secret key of a PEM file and takes its encryption off.
func loadKey(f, passwordFile File) (*pem.Block, *FileError) {
	text, err := read(f)
	if err != nil {
		return nil, err
	}
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, fault(f, "it must be PEM, with -----BEGIN PRIVATE KEY-----", "no secret key in it")
		}
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY":
			return decryptKey(f, passwordFile, block, decryptPKCS8)
		case !strings.HasSuffix(block.Type, "PRIVATE KEY"):
			continue
		case block.Headers["DEK-Info"] != "":
			return decryptKey(f, passwordFile, block, decryptLegacy)
		}
		return block, nil
	}
}

// decryptKey tries the passwords in turn.
func decryptKey(f, passwordFile File, block *pem.Block, try func(*pem.Block, []byte) (*pem.Block, error)) (
	*pem.Block, *FileError,
) {
	if passwordFile.Path == "" {
		return nil, fault(f, "write ssl_password_file FILE; (of an upstream: proxy_ssl_password_file)",
			"the key is encrypted, and there is no password")
	}
	text, err := read(passwordFile)
	if err != nil {
		return nil, err
	}
	var last error
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			continue
		}
		key, errTry := try(block, line)
		if errTry == nil {
			return key, nil
		}
		last = errTry
	}
	if last == nil {
		return nil, fault(passwordFile, "write a password into it, one a line", "no password in it")
	}
	return nil, fault(f, "", "no password of %s opens the key", passwordFile.Path)
}

func decryptPKCS8(block *pem.Block, password []byte) (*pem.Block, error) {
	key, err := pkcs8.ParsePKCS8PrivateKey(block.Bytes, password)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return &pem.Block{Type: "PRIVATE KEY", Bytes: der}, err
}

// decryptLegacy opens the encryption that OpenSSL wrote before PKCS #8 (RFC 1421). It is
// weak, which is no reason to refuse a key that nginx takes.
func decryptLegacy(block *pem.Block, password []byte) (*pem.Block, error) {
	der, err := x509.DecryptPEMBlock(block, password) //nolint:staticcheck // see above
	if err != nil {
		return nil, err
	}
	// Nothing authenticates it: a wrong password may seem right.
	_, err1 := x509.ParsePKCS1PrivateKey(der)
	_, err8 := x509.ParsePKCS8PrivateKey(der)
	_, errEC := x509.ParseECPrivateKey(der)
	if err1 != nil && err8 != nil && errEC != nil {
		return nil, errors.New("not a key")
	}
	return &pem.Block{Type: block.Type, Bytes: der}, nil
}

// staple adds the OCSP response of a file to the certificate that it is about; it reports a
// file that is about none.
func staple(f File, list []*tls.Certificate) *FileError {
	text, err := read(f)
	if err != nil {
		return err
	}
	resp, errParse := ocsp.ParseResponse(text, nil)
	if errParse != nil {
		return fault(f, "write the response as DER, as openssl ocsp -respout does", "no OCSP response: %s",
			strings.TrimPrefix(errParse.Error(), "ocsp: "))
	}
	i := slices.IndexFunc(list, func(c *tls.Certificate) bool { return c.Leaf.SerialNumber.Cmp(resp.SerialNumber) == 0 })
	if i < 0 {
		return fault(f, "fetch the response anew", "the OCSP response is about another certificate")
	}
	list[i].OCSPStaple = text
	return nil
}
