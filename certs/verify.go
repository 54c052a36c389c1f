package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
	"time"
)

// The words of OpenSSL (X509_verify_cert_error_string) for what is wrong with a certificate.
const (
	faultExpired     = "certificate has expired"
	faultNotYet      = "certificate is not yet valid"
	faultSelfSigned  = "self-signed certificate"
	faultSelfInChain = "self-signed certificate in certificate chain"
	faultFirst       = "unable to verify the first certificate"
	faultIssuer      = "unable to get local issuer certificate"
	faultTooLong     = "certificate chain too long"
	faultRevoked     = "certificate revoked"
	faultNoCRL       = "unable to get certificate CRL"
	faultOldCRL      = "CRL has expired"
	faultEarlyCRL    = "CRL is not yet valid"
	faultCRL         = "CRL signature failure"
	faultNotCA       = "invalid CA certificate"
	faultPathLen     = "path length constraint exceeded"
	faultPurpose     = "unsuitable certificate purpose"
	faultSubtree     = "permitted subtree violation"
	faultCritical    = "unhandled critical extension"
	faultSignature   = "certificate signature failure"
)

// verifier judges certificates of peers. It is immutable.
type verifier struct {
	roots *x509.CertPool
	crls  []*revocations // none: revocation is not looked at
	depth int
	usage x509.ExtKeyUsage
}

// revocations are a list of revoked certificates (RFC 5280 section 5).
type revocations struct {
	list    *x509.RevocationList
	serials map[string]bool
}

// loadPool reads files of authorities into one pool.
func loadPool(files ...File) (*x509.CertPool, *FileError) {
	pool := x509.NewCertPool()
	for _, f := range present(files...) {
		list, err := loadChain(f)
		if err != nil {
			return nil, err
		}
		for _, c := range list {
			pool.AddCert(c)
		}
	}
	return pool, nil
}

// loadCRLs reads a PEM file of lists of revoked certificates.
func loadCRLs(f File) (all []*revocations, _ *FileError) {
	text, err := read(f)
	if err != nil {
		return nil, err
	}
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "X509 CRL" {
			continue
		}
		list, errParse := x509.ParseRevocationList(block.Bytes)
		if errParse != nil {
			return nil, fault(f, "", "list %d of the file: %s", len(all)+1, strings.TrimPrefix(errParse.Error(), "x509: "))
		}
		r := &revocations{list: list, serials: make(map[string]bool, len(list.RevokedCertificateEntries))}
		for i := range list.RevokedCertificateEntries {
			r.serials[string(list.RevokedCertificateEntries[i].SerialNumber.Bytes())] = true
		}
		all = append(all, r)
	}
	if len(all) == 0 {
		return nil, fault(f, "it must be PEM, with -----BEGIN X509 CRL-----", "no list of revoked certificates in it")
	}
	return all, nil
}

// verify says in OpenSSL's words what is wrong with a peer's certificates, its own one first;
// empty for nothing.
func (v *verifier) verify(certs []*x509.Certificate, now time.Time) string {
	intermediates := x509.NewCertPool()
	for _, c := range certs[1:] {
		intermediates.AddCert(c)
	}
	chains, err := certs[0].Verify(x509.VerifyOptions{
		Roots: v.roots, Intermediates: intermediates, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{v.usage},
	})
	if err != nil {
		return faultOf(err, certs, now)
	}
	found := ""
	for _, chain := range chains {
		// Neither the peer's certificate nor the trusted one counts.
		if len(chain)-2 > v.depth {
			if found = faultTooLong; v.usage == x509.ExtKeyUsageClientAuth {
				found = faultIssuer // as nginx has it, where OpenSSL goes on after its first finding
			}
		} else if found = v.revoked(chain, now); found == "" {
			return ""
		}
	}
	return found
}

// revoked judges each certificate of a chain by the list of its issuer, which must be there
// (OpenSSL's X509_V_FLAG_CRL_CHECK_ALL).
func (v *verifier) revoked(chain []*x509.Certificate, now time.Time) string {
	if v.crls == nil {
		return ""
	}
	for i, c := range chain {
		issuer := chain[min(i+1, len(chain)-1)]
		if issuer == c && !selfSigned(c) {
			break // trusted as it is
		}
		if found := v.revokedBy(c, issuer, now); found != "" {
			return found
		}
	}
	return ""
}

func (v *verifier) revokedBy(c, issuer *x509.Certificate, now time.Time) string {
	found := faultNoCRL
	for _, r := range v.crls {
		switch {
		case !bytes.Equal(r.list.RawIssuer, c.RawIssuer):
			continue
		case r.list.CheckSignatureFrom(issuer) != nil:
			found = faultCRL
		case r.serials[string(c.SerialNumber.Bytes())]:
			return faultRevoked
		case now.Before(r.list.ThisUpdate):
			found = faultEarlyCRL
		case !r.list.NextUpdate.IsZero() && now.After(r.list.NextUpdate):
			found = faultOldCRL
		default:
			return ""
		}
	}
	return found
}

func selfSigned(c *x509.Certificate) bool { return bytes.Equal(c.RawSubject, c.RawIssuer) }

// faultOf is what OpenSSL says where crypto/x509 says err.
func faultOf(err error, certs []*x509.Certificate, now time.Time) string {
	var invalid x509.CertificateInvalidError
	var critical x509.UnhandledCriticalExtension
	switch {
	case errors.As(err, &critical):
		return faultCritical
	case errors.As(err, &invalid):
		switch invalid.Reason {
		case x509.Expired:
			if invalid.Cert != nil && now.Before(invalid.Cert.NotBefore) {
				return faultNotYet
			}
			return faultExpired
		case x509.NotAuthorizedToSign:
			return faultNotCA
		case x509.TooManyIntermediates:
			return faultPathLen
		case x509.IncompatibleUsage:
			return faultPurpose
		case x509.CANotAuthorizedForThisName, x509.CANotAuthorizedForExtKeyUsage:
			return faultSubtree
		}
		return faultSignature
	}
	return unknownAuthority(certs)
}

// unknownAuthority tells the ways apart in which a chain doesn't lead to what is trusted.
func unknownAuthority(certs []*x509.Certificate) string {
	last, length := certs[0], 1
	for grown := true; grown && length <= len(certs) && !selfSigned(last); {
		grown = false
		for _, c := range certs[1:] {
			if c != last && bytes.Equal(c.RawSubject, last.RawIssuer) {
				last, grown = c, true
				length++
				break
			}
		}
	}
	switch {
	case selfSigned(last) && length == 1:
		return faultSelfSigned
	case selfSigned(last):
		return faultSelfInChain
	case length == 1:
		return faultFirst
	}
	return faultIssuer
}
