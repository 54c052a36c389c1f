package access

import (
	"crypto/sha1"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

const patience = 30 * time.Second

// hashes of "secret", as openssl passwd makes them.
const (
	apr1   = "$apr1$abcd$wdPjgnTArUvGHPa0JgcKo."
	crypt5 = "$5$abcd$BgCbKzckrgGdFcL/gWllSOkKJCXQV5rwJeTh9xnsJ1D"
	crypt6 = "$6$abcd$2xnokga/nDtRjwwaEJ4P2es2v4q8kfckDGncd4naCsE699Y0JnDNWStYgMPa.X.VcIxFM3oLKIRKkAYD33oqG."
)

func bcrypted(t testing.TB, password string) string {
	t.Helper()
	b, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func ssha(password string) string {
	sum := sha1.Sum([]byte(password + "salt"))
	return "{SSHA}" + base64.StdEncoding.EncodeToString(append(sum[:], "salt"...))
}

func write(t testing.TB, path, text string) string {
	t.Helper()
	next := path + ".next"
	if err := os.WriteFile(next, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, path); err != nil { // another file: seen whatever the clock's grain
		t.Fatal(err)
	}
	return path
}

func users(t testing.TB, text string) (*Store, *Users) {
	t.Helper()
	st := NewStore()
	u, problems := st.Users(write(t, filepath.Join(t.TempDir(), "users"), text))
	if problems != nil {
		t.Fatal(problems)
	}
	return st, u
}

func pool(t testing.TB, workers, queue int) *Pool {
	t.Helper()
	p := NewPool(workers, queue)
	t.Cleanup(p.Close)
	return p
}

// ask is the pool's verdict.
func ask(t testing.TB, p *Pool, u *Users, credentials string) Verdict {
	t.Helper()
	got := make(chan Verdict, 1)
	if !p.Verify(u, []byte(credentials), patience, func(v Verdict) { got <- v }) {
		t.Fatal("refused")
	}
	select {
	case v := <-got:
		return v
	case <-time.After(patience):
		t.Fatal("no verdict")
	}
	return 0
}

func TestEachKindOfHash(t *testing.T) {
	sha := sha1.Sum([]byte("secret"))
	for kind, encoded := range map[string]string{
		"plain": "{PLAIN}secret", "sha": "{SHA}" + base64.StdEncoding.EncodeToString(sha[:]), "ssha": ssha("secret"),
		"apr1": apr1, "crypt5": crypt5, "crypt6": crypt6, "2a": bcrypted(t, "secret"),
		"2y": strings.Replace(bcrypted(t, "secret"), "$2a$", "$2y$", 1),
		"2b": strings.Replace(bcrypted(t, "secret"), "$2a$", "$2b$", 1),
	} {
		t.Run(kind, func(t *testing.T) {
			_, u := users(t, "# users\r\n\nu:"+encoded+":a comment:more\r\nother:{PLAIN}x")
			p := pool(t, 1, 8)
			c := NewChecker()
			for credentials, want := range map[string]Verdict{
				"u:secret": Granted, "u:secre": WrongPassword, "u:secret:": WrongPassword, "u:": WrongPassword,
				"u:" + strings.Repeat("s", 600): WrongPassword, "v:secret": NoSuchUser, "# users:": NoSuchUser, "other:x": Granted,
			} {
				if got := ask(t, p, u, credentials); got != want {
					t.Errorf("%.20q: verdict %d, want %d", credentials, got, want)
				}
				if c.Known(u, []byte(credentials)) != (want == Granted) {
					t.Errorf("%.20q: wrongly remembered, or not", credentials)
				}
			}
		})
	}
}

// A bad line is told about with its number and never with its text, and does no harm to
// the others.
func TestBadLines(t *testing.T) {
	st := NewStore()
	u, problems := st.Users(write(t, filepath.Join(t.TempDir(), "users"), strings.Join([]string{
		"good:{PLAIN}p", "HIDDEN", ":HIDDEN", "good:{PLAIN}HIDDEN", "a:HIDDEN", "b:$2y$31$HIDDEN", "c:$y$HIDDEN", "d:{SHA}HIDDEN",
		"e:{SSHA}HIDDEN", "f:$apr1$HIDDEN", "g:$6$HIDDEN", "h:$6$rounds=999999999$HIDDEN$x", "i:$6$rounds=x$HIDDEN$x", "j:",
		"k:" + strings.Replace(bcrypted(t, "x"), "$04$", "$31$", 1), "l:$5$rounds=5000", "m:" + crypt5[:20], "last:{PLAIN}q",
	}, "\n")))
	lines := map[int]bool{}
	for _, p := range problems {
		lines[p.Line] = true
		if strings.Contains(p.Text+p.Hint, "HIDDEN") {
			t.Errorf("what may be a password is shown: %+v", p)
		}
	}
	for line := 2; line <= 17; line++ {
		if !lines[line] {
			t.Errorf("nothing is said about line %d", line)
		}
	}
	if len(problems) != 16 {
		t.Errorf("%d problems", len(problems))
	}
	p := pool(t, 1, 64)
	for _, credentials := range []string{"good:p", "last:q"} {
		if v := ask(t, p, u, credentials); v != Granted {
			t.Errorf("%s: %d", credentials, v)
		}
	}
	for user := 'a'; user <= 'm'; user++ {
		for _, password := range []string{"", "HIDDEN", "x"} {
			if v := ask(t, p, u, string(user)+":"+password); v != WrongPassword {
				t.Errorf("%c with %q: %d", user, password, v)
			}
		}
	}
}

// What was right before the file changed is not right because of that.
func TestChangedFile(t *testing.T) {
	st, u := users(t, "u:{PLAIN}old\nkept:{PLAIN}k\n")
	var mu sync.Mutex
	var said []string
	st.SetLog(func(problem bool, text string) {
		mu.Lock()
		defer mu.Unlock()
		said = append(said, fmt.Sprint(problem, " ", text))
	})
	p, c := pool(t, 1, 8), NewChecker()
	ask(t, p, u, "u:old")
	if st.Poll(); !c.Known(u, []byte("u:old")) {
		t.Error("forgotten without a change")
	}
	write(t, u.Path(), "u:{PLAIN}new\nkept:{PLAIN}k\nbad\n")
	if v := ask(t, p, u, "u:new"); v != Granted { // without a poll
		t.Errorf("the new password: %d", v)
	}
	if c.Known(u, []byte("u:old")) || ask(t, p, u, "u:old") != WrongPassword {
		t.Error("the old password is still right")
	}
	if err := os.Remove(u.Path()); err != nil {
		t.Fatal(err)
	}
	st.Poll()
	if c.Known(u, []byte("u:new")) || ask(t, p, u, "u:new") != NoFile {
		t.Error("users of a file that is gone")
	}
	if err := os.Mkdir(u.Path(), 0o700); err != nil {
		t.Fatal(err)
	}
	if st.Poll(); ask(t, p, u, "u:new") != BadFile {
		t.Error("users of a folder")
	}
	if files, failed := st.Reload(); files != 1 || failed != 1 {
		t.Errorf("reload: %d files, %d failed", files, failed)
	}
	if err := os.Remove(u.Path()); err != nil {
		t.Fatal(err)
	}
	write(t, u.Path(), "u:{PLAIN}back\n")
	if st.Poll(); ask(t, p, u, "u:back") != Granted {
		t.Error("the file is back, its users are not")
	}
	mu.Lock()
	defer mu.Unlock()
	if log := strings.Join(said, "\n"); !strings.Contains(log, "true "+u.Path()+":3: ") ||
		!strings.Contains(log, "no such file") || !strings.Contains(log, "false read again: ") {
		t.Errorf("log %q", log)
	}
}

func TestMissingFileIsAProblem(t *testing.T) {
	st := NewStore()
	u, problems := st.Users(filepath.Join(t.TempDir(), "none"))
	if len(problems) != 1 || problems[0].Line != 0 || !strings.Contains(problems[0].Text, "403") {
		t.Errorf("problems %+v", problems)
	}
	if v := ask(t, pool(t, 1, 1), u, "u:p"); v != NoFile {
		t.Errorf("verdict %d", v)
	}
	if again, problems := st.Users(u.Path()); again != u || problems != nil {
		t.Error("a path has two files of users")
	}
}

// Who is not in the file takes as long as the costliest who is.
func TestUnknownUsersAreVerifiedToo(t *testing.T) {
	for credentials, want := range map[string]int{"nobody:x": 1, "cheap:x": 1, "dear:x": 1, "cheap:p": 0} {
		tbl, _ := newTable("", []byte("cheap:{PLAIN}p\ndear:"+bcrypted(t, "q")))
		computed := 0
		dear := passwordHash{cost: tbl.costliest.cost, matches: func(string) bool { computed++; return false }}
		tbl.costliest, tbl.users["dear"] = dear, dear
		u := &Users{}
		u.table.Store(tbl)
		u.verify(NewChecker(), []byte(credentials))
		if computed != want {
			t.Errorf("%s: %d costly hashes, want %d", credentials, computed, want)
		}
	}
}

// The queue is bounded, and what comes too late is not computed.
func TestPoolRefusesAndDrops(t *testing.T) {
	_, u := users(t, "u:{PLAIN}p")
	p := pool(t, 1, 2)
	hold, begun := make(chan bool), make(chan bool)
	p.Verify(u, []byte("u:p"), patience, func(Verdict) { begun <- true; <-hold })
	<-begun
	var late sync.WaitGroup
	late.Add(1)
	if !p.Verify(u, []byte("u:p"), -1, func(Verdict) { t.Error("a verdict that nobody waits for") }) ||
		!p.Verify(u, []byte("u:p"), patience, func(Verdict) { late.Done() }) {
		t.Error("refused below the limit")
	}
	if p.Verify(u, []byte("u:p"), patience, func(Verdict) { t.Error("called though refused") }) {
		t.Error("taken above the limit")
	}
	close(hold)
	late.Wait()
	if v := ask(t, p, u, "u:p"); v != Granted {
		t.Errorf("afterwards: %d", v)
	}
}

// Many shards at once, with many wrong passwords: what is remembered stays bounded.
func TestManyAtOnce(t *testing.T) {
	_, u := users(t, "u:{PLAIN}p\nv:{PLAIN}q")
	p := pool(t, 3, 1<<20)
	var wg sync.WaitGroup
	for shard := range 4 {
		wg.Go(func() {
			c := NewChecker()
			for i := range 2500 {
				credentials, want := fmt.Sprintf("u:%d-%d", shard, i), WrongPassword
				if i%100 == 0 {
					credentials, want = "u:p", Granted
				}
				if known := c.Known(u, []byte(credentials)); known && want != Granted {
					t.Errorf("%s is remembered", credentials)
				}
				wg.Add(1)
				if !p.Verify(u, []byte(credentials), 10*patience, func(v Verdict) {
					defer wg.Done()
					if v != want {
						t.Errorf("%s: %d", credentials, v)
					}
				}) {
					t.Error("refused")
					wg.Done()
				}
			}
		})
	}
	wg.Wait()
	known := 0
	for i := range u.table.Load().known {
		if u.table.Load().known[i].Load() != nil {
			known++
		}
	}
	if known != 1 {
		t.Errorf("%d remembered of one that was right", known)
	}
}

func TestKnownDoesNotAllocate(t *testing.T) {
	_, u := users(t, "u:{PLAIN}p")
	p, c := pool(t, 1, 1), NewChecker()
	ask(t, p, u, "u:p")
	right, wrong := []byte("u:p"), []byte("u:x")
	if n := testing.AllocsPerRun(100, func() {
		if !c.Known(u, right) || c.Known(u, wrong) {
			t.Error("wrong answer")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzLines(f *testing.F) {
	f.Add("u:{PLAIN}p\n", "u", "p")
	for _, h := range []string{apr1, crypt5, crypt6, "$2y$04$", "{SHA}", "{SSHA}AA==", "$6$rounds=1000$s$"} {
		f.Add("u:"+h, "u", "secret")
	}
	f.Fuzz(func(_ *testing.T, text, user, password string) {
		if strings.Contains(text, "rounds=") || strings.Contains(text, "$2") {
			return // slow, and tried elsewhere
		}
		tbl, _ := newTable("f", []byte(text))
		u := &Users{store: NewStore()}
		u.table.Store(tbl)
		u.verify(NewChecker(), []byte(user+":"+password))
	})
}
