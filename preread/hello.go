package preread

// Status is what a Parse came to.
type Status uint8

// The statuses.
const (
	More      Status = iota // the hello goes on behind the bytes that are there
	Done                    // it was read
	NotTLS                  // the bytes begin no TLS connection
	Malformed               // they do, and break its rules
)

// Hello is what a client's hello says. The slices alias what Parse was given, or the Hello
// itself, and are good until the next Parse.
type Hello struct {
	// ServerName is the host name of server_name (RFC 6066 section 3), as sent; nil if there
	// is none.
	ServerName []byte
	// ALPN is the list of protocols (RFC 7301 section 3.1) as sent: each behind a byte with
	// its length. nil if there is none.
	ALPN []byte
	// Version is the highest version offered: 0x0304 for TLS 1.3; of versions that are not
	// known, those of GREASE (RFC 8701) among them, none counts.
	Version uint16

	joined []byte // the hello, where it came in several records
	seen   [extensionsMax]uint16
}

const (
	recordHead    = 5
	recordMax     = 1 << 14 // RFC 8446 section 5.1
	messageHead   = 4
	typeHandshake = 22
	typeHello     = 1
	// extensionsMax bounds the extensions of a hello; browsers send about twenty.
	extensionsMax = 100

	extensionServerName = 0
	extensionALPN       = 16
	extensionVersions   = 43
)

// Parse reads the hello at the start of b, all of what a client has sent so far. h is
// written only if the result is Done.
func Parse(b []byte, h *Hello) Status {
	length, records, status := measure(b)
	if status != Done {
		return status
	}
	message := b[recordHead:]
	if records > 1 {
		message = h.join(b, length)
	}
	read := reader{rest: message[messageHead:length]}
	found := Hello{joined: h.joined}
	if !read.hello(&found, &h.seen) {
		return Malformed
	}
	h.ServerName, h.ALPN, h.Version = found.ServerName, found.ALPN, found.Version
	return Done
}

// measure walks the records until they hold the whole message. length counts its head.
func measure(b []byte) (length, records int, status Status) {
	have, length := 0, messageHead
	var head [messageHead]byte
	for {
		size, status := record(b)
		if status != Done {
			if status == NotTLS && records > 0 {
				status = Malformed
			}
			return 0, 0, status
		}
		records++
		content := b[recordHead:min(len(b), recordHead+size)]
		if have < messageHead {
			copied := copy(head[have:], content)
			if head[0] != typeHello && have+copied > 0 {
				return 0, 0, NotTLS
			}
			if have+copied == messageHead {
				length = messageHead + (int(head[1])<<16 | int(head[2])<<8 | int(head[3]))
			}
		}
		have += len(content)
		switch {
		case have >= length && length > messageHead:
			return length, records, Done
		case have >= length && have >= messageHead:
			return 0, 0, Malformed // an empty message
		case len(b) < recordHead+size:
			return 0, 0, More
		}
		b = b[recordHead+size:]
	}
}

// record judges the head of the record at the start of b and returns the size of its
// content, as far as the bytes go.
func record(b []byte) (size int, status Status) {
	switch {
	case len(b) > 0 && b[0] != typeHandshake, len(b) > 1 && b[1] != 3:
		return 0, NotTLS
	case len(b) < recordHead:
		return 0, More
	}
	size = int(b[3])<<8 | int(b[4])
	if size == 0 || size > recordMax {
		return 0, NotTLS
	}
	return size, Done
}

// join copies the first length bytes of what the records of b hold.
func (h *Hello) join(b []byte, length int) []byte {
	h.joined = h.joined[:0]
	for len(h.joined) < length {
		size := int(b[3])<<8 | int(b[4])
		end := min(recordHead+size, len(b))
		h.joined = append(h.joined, b[recordHead:end]...)
		b = b[end:]
	}
	return h.joined[:length]
}
