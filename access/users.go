package access

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math/bits"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
)

// Users are those of one file, as it is now.
type Users struct {
	path  string
	store *Store
	table atomic.Pointer[table]

	mu    sync.Mutex // held while the file is looked at or read; never by a shard
	stamp fs.FileInfo
}

// Path is the file's.
func (u *Users) Path() string { return u.path }

// Problem is something wrong with a file of users. Line counts from 1; 0 means the file as
// a whole.
type Problem struct {
	Path string
	Line int
	Text string
	Hint string // may be empty
}

// table is one reading of a file. Only known changes.
type table struct {
	users map[string]passwordHash
	// costliest is the most expensive hash of all; its cost is 0 without users.
	costliest passwordHash
	// known are digests of credentials that were right, each at a place that it names.
	known []atomic.Pointer[digest]
	// failed is the verdict on everybody where the file can't be used; 0 where it can.
	failed Verdict
}

// digest is the keyed hash of credentials.
type digest [32]byte

// knownMin and knownMax bound the places for credentials that were right.
const (
	knownMin = 64
	knownMax = 1 << 14
)

// fileBytesMax bounds what is read of a file.
const fileBytesMax = 64 << 20

// newTable reads a file's lines: user:hash, user:hash:comment, or # and a comment. Of two
// lines for one user the first counts, as in nginx.
func newTable(path string, text []byte) (t *table, problems []Problem) {
	t = &table{users: map[string]passwordHash{}}
	bad := func(line int, text, hint string) {
		problems = append(problems, Problem{Path: path, Line: line, Text: text, Hint: hint})
	}
	number := 0
	for line := range bytes.Lines(text) {
		number++
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 || line[0] == '#' {
			continue
		}
		user, rest, found := bytes.Cut(line, []byte(":"))
		if !found || len(user) == 0 {
			bad(number, "a line without a user and a hash has no effect", "write user:hash, as htpasswd -B does")
			continue
		}
		if _, double := t.users[string(user)]; double {
			bad(number, "a second line for a user has no effect", "remove one")
			continue
		}
		encoded, _, _ := bytes.Cut(rest, []byte(":"))
		h, why := newHash(string(encoded))
		if why != "" {
			bad(number, why+": this user can't log in", "use htpasswd -B, or one of $5$, $6$, $apr1$, {SSHA}, {SHA}, {PLAIN}")
			h = passwordHash{cost: plainUs, matches: func(string) bool { return false }}
		}
		t.users[string(user)] = h
		if h.cost > t.costliest.cost {
			t.costliest = h
		}
	}
	places := min(max(1<<bits.Len(uint(4*len(t.users))), knownMin), knownMax)
	t.known = make([]atomic.Pointer[digest], places)
	return t, problems
}

// read reads the file anew. The caller has the lock.
func (u *Users) read() (problems []Problem) {
	u.stamp, _ = os.Stat(u.path)
	text, err := readFile(u.path)
	if err == nil {
		var t *table
		t, problems = newTable(u.path, text)
		u.table.Store(t)
		return problems
	}
	failed, effect, hint := BadFile, "every request with a password is answered 500",
		"let the user that holdfast runs as read it"
	if errors.Is(err, fs.ErrNotExist) {
		failed, effect = NoFile, "every request with a password is answered 403"
		hint = "relative names are looked for beside the main configuration file"
	}
	u.table.Store(&table{failed: failed})
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		err = pathErr.Err
	}
	return []Problem{{Path: u.path, Text: err.Error() + ": " + effect, Hint: hint}}
}

func readFile(path string) ([]byte, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	text, err := io.ReadAll(io.LimitReader(in, fileBytesMax+1))
	if err == nil && len(text) > fileBytesMax {
		err = errors.New("larger than 64 MiB")
	}
	return text, err
}

// refresh reads the file again if it is another than the one that was read, or in any case,
// and logs what is wrong with it.
func (u *Users) refresh(anyway bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !anyway && !u.changed() {
		return
	}
	log := *u.store.log.Load()
	for i, p := range u.read() {
		if i == problemsLogged {
			log(true, p.Path+": and more")
			break
		}
		text := p.Path
		if p.Line > 0 {
			text += ":" + strconv.Itoa(p.Line)
		}
		log(true, text+": "+p.Text)
	}
	if u.table.Load().failed == 0 {
		log(false, "read again: "+u.path)
	}
}

// problemsLogged is how many problems of one file are logged.
const problemsLogged = 10

// changed tells whether the file is another than the one that was read. Links are followed.
func (u *Users) changed() bool {
	info, _ := os.Stat(u.path)
	if info == nil || u.stamp == nil {
		return info != nil || u.stamp != nil
	}
	return !os.SameFile(info, u.stamp) || info.Size() != u.stamp.Size() || !info.ModTime().Equal(u.stamp.ModTime())
}

// readable tells whether the file is gone or can be opened.
func (u *Users) readable() bool {
	in, err := os.Open(u.path)
	if err == nil {
		_ = in.Close()
	}
	return err == nil || errors.Is(err, fs.ErrNotExist)
}

// verify judges credentials on a thread that may take its time.
func (u *Users) verify(c *Checker, credentials []byte) Verdict {
	t := u.table.Load()
	if t.failed != 0 {
		return t.failed
	}
	place, sum := c.find(t, credentials)
	if place.Load() != nil && *place.Load() == sum {
		return Granted
	}
	user, password, _ := bytes.Cut(credentials, []byte(":"))
	h, found := t.users[string(user)]
	if found && h.matches(string(password)) {
		place.Store(&sum)
		return Granted
	}
	if t.costliest.cost > 0 && 2*h.cost < t.costliest.cost {
		t.costliest.matches(string(password)) // who is not in the file takes as long as who is
	}
	if !found {
		return NoSuchUser
	}
	return WrongPassword
}
