package access

import (
	"crypto/subtle"
	"strconv"
	"strings"

	"github.com/tg123/go-htpasswd"
	"golang.org/x/crypto/bcrypt"
)

// passwordHash is what a file has for a user's password.
type passwordHash struct {
	matches func(password string) bool
	// cost is about how long matches takes, in microseconds.
	cost int64
}

// Limits on what a hash may ask for: more would let one client keep a processor busy for
// seconds.
const (
	bcryptCostMax  = 16
	cryptRoundsMax = 1_000_000
)

// Costs in microseconds, as measured to within a factor of two.
const (
	bcryptUs = 60 // of each of 2^cost rounds, for 1,024 of them: 60 ms
	md5Us    = 500
	plainUs  = 1
)

// newHash reads what stands behind a user's name. why says what is wrong with it; it never
// has the text itself, which may be a password.
func newHash(text string) (h passwordHash, why string) {
	switch {
	case strings.HasPrefix(text, "{PLAIN}"):
		want := text[len("{PLAIN}"):]
		return passwordHash{cost: plainUs, matches: func(password string) bool {
			return subtle.ConstantTimeCompare([]byte(want), []byte(password)) == 1
		}}, ""
	case strings.HasPrefix(text, "{SHA}"):
		return parse(text, htpasswd.AcceptSha, plainUs)
	case strings.HasPrefix(text, "{SSHA}"):
		return parse(text, htpasswd.AcceptSsha, plainUs)
	case strings.HasPrefix(text, "$apr1$"), strings.HasPrefix(text, "$1$"):
		return parse(text, htpasswd.AcceptMd5, md5Us)
	case strings.HasPrefix(text, "$2a$"), strings.HasPrefix(text, "$2b$"), strings.HasPrefix(text, "$2y$"):
		cost, err := bcrypt.Cost([]byte(text))
		switch {
		case err != nil || len(text) != bcryptLength:
			return passwordHash{}, "a malformed hash of bcrypt"
		case cost > bcryptCostMax:
			return passwordHash{}, "a hash of bcrypt with a cost above " + strconv.Itoa(bcryptCostMax)
		}
		return parse(text, htpasswd.AcceptBcrypt, bcryptUs<<cost)
	case strings.HasPrefix(text, "$5$"), strings.HasPrefix(text, "$6$"):
		rounds, ok := cryptRounds(text[len("$5$"):])
		if !ok {
			return passwordHash{}, "a malformed hash of SHA-crypt, or one with more than " +
				strconv.Itoa(cryptRoundsMax) + " rounds"
		}
		return parse(text, htpasswd.AcceptCryptSha, rounds)
	}
	return passwordHash{}, "a password in a form that is not supported"
}

// bcryptLength is that of each hash of bcrypt with its salt.
const bcryptLength = 60

// parse reads a hash by the library.
func parse(text string, accept htpasswd.PasswdParser, cost int64) (h passwordHash, why string) {
	encoded, err := accept(text)
	if err != nil || encoded == nil {
		return passwordHash{}, "a malformed hash"
	}
	return passwordHash{matches: encoded.MatchesPassword, cost: cost}, ""
}

// cryptRounds is how many rounds a hash of SHA-crypt takes, from behind its first field on:
// [rounds=N$]salt$hash. ok is false where that is not its form.
func cryptRounds(rest string) (rounds int64, ok bool) {
	rounds = 5000
	if text, found := strings.CutPrefix(rest, "rounds="); found {
		number, salted, _ := strings.Cut(text, "$")
		var err error
		if rounds, err = strconv.ParseInt(number, 10, 64); err != nil || rounds < 1000 || rounds > cryptRoundsMax {
			return 0, false
		}
		rest = salted
	}
	salt, sum, found := strings.Cut(rest, "$")
	return rounds, found && len(salt) <= 16 && (len(sum) == 43 || len(sum) == 86)
}
