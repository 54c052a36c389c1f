package tlsio

import "strconv"

// alert is a description of RFC 8446 section 6. alertNone is none: close_notify is an
// ordinary end and no failure.
type alert uint8

const (
	alertCloseNotify       alert = 0
	alertNone              alert = 0
	alertUnexpectedMessage alert = 10
	alertBadRecordMAC      alert = 20
	alertRecordOverflow    alert = 22
	alertIllegalParameter  alert = 47
	alertDecodeError       alert = 50
	alertProtocolVersion   alert = 70
	alertInternalError     alert = 80
	alertUserCanceled      alert = 90
	alertNoRenegotiation   alert = 100
)

// Levels of an alert.
const (
	levelWarning = 1
	levelFatal   = 2
)

var alertNames = map[alert]string{
	0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 21: "decryption_failed",
	22: "record_overflow", 30: "decompression_failure", 40: "handshake_failure", 41: "no_certificate",
	42: "bad_certificate", 43: "unsupported_certificate", 44: "certificate_revoked",
	45: "certificate_expired", 46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca",
	49: "access_denied", 50: "decode_error", 51: "decrypt_error", 60: "export_restriction",
	70: "protocol_version", 71: "insufficient_security", 80: "internal_error",
	86: "inappropriate_fallback", 90: "user_canceled", 100: "no_renegotiation",
	109: "missing_extension", 110: "unsupported_extension", 111: "certificate_unobtainable",
	112: "unrecognized_name", 113: "bad_certificate_status_response", 114: "bad_certificate_hash_value",
	115: "unknown_psk_identity", 116: "certificate_required", 120: "no_application_protocol",
}

// String is the alert's name in the registry of IANA, its number if it has none.
func (a alert) String() string {
	if name, ok := alertNames[a]; ok {
		return name
	}
	return "alert " + strconv.Itoa(int(a))
}

// level is what TLS 1.2 sends an alert with. TLS 1.3 ignores it.
func (a alert) level() byte {
	if a == alertCloseNotify || a == alertNoRenegotiation || a == alertUserCanceled {
		return levelWarning
	}
	return levelFatal
}

// problem is the last failure of a layer, kept in parts because nothing on the data path
// builds strings.
type problem struct {
	reason string // what was wrong, empty if the peer sent an alert
	alert  alert  // sent to the peer, or received
	sent   bool
}

func (p problem) String() string {
	switch {
	case p == problem{}:
		return ""
	case p.reason == "":
		return "alert from peer: " + p.alert.String()
	case p.sent:
		return p.reason + " (alert sent)"
	}
	return p.reason + " (alert not sent)"
}
