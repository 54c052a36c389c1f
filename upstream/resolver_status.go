package upstream

import "golang.org/x/net/dns/dnsmessage"

// ResolveStatus is what a lookup came to.
type ResolveStatus uint8

// The statuses.
const (
	Resolved             ResolveStatus = iota
	ResolveNoName                      // there is no such name, or it has no address
	ResolveTimeout                     // nobody answered in time
	ResolveFailed                      // the name servers could not say (SERVFAIL), or nobody listens there
	ResolveFormat                      // the name servers did not understand, or were not understood
	ResolveUnimplemented               // the name servers don't know such questions
	ResolveRefused                     // the name servers don't answer us
	ResolveBusy                        // too many names are being looked up
)

var resolveTexts = [...]struct {
	text   string
	number int
}{
	Resolved:             {"Success", 0},
	ResolveNoName:        {"Host not found", 3},
	ResolveTimeout:       {"Operation timed out", 110},
	ResolveFailed:        {"Server failure", 2},
	ResolveFormat:        {"Format error", 1},
	ResolveUnimplemented: {"Unimplemented", 4},
	ResolveRefused:       {"Operation refused", 5},
	ResolveBusy:          {"Too many names", 11},
}

// String is the status in nginx's words: those of RFC 1035 section 4.1.1, and of errno.
func (s ResolveStatus) String() string { return resolveTexts[s].text }

// Number is the number that nginx logs beside the text.
func (s ResolveStatus) Number() int { return resolveTexts[s].number }

// statusOf turns the code of the last server that could not say into a status; without one
// nobody has answered.
func statusOf(code dnsmessage.RCode) ResolveStatus {
	switch code {
	case dnsmessage.RCodeSuccess:
		return ResolveTimeout
	case dnsmessage.RCodeFormatError:
		return ResolveFormat
	case dnsmessage.RCodeNotImplemented:
		return ResolveUnimplemented
	case dnsmessage.RCodeRefused:
		return ResolveRefused
	}
	return ResolveFailed
}
