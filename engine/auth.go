package engine

import (
	"runtime"
	"slices"

	"holdfast/access"
	"holdfast/config"
	"holdfast/observe"
	"holdfast/route"
	"holdfast/shard"
)

// auth compiles auth_basic; nil where nobody is asked for a password. As in nginx, that is
// so without a file of users, too, which is warned about.
func (b *builder) auth(set *config.AuthSettings) *route.Auth {
	if !set.Written {
		return nil
	}
	compiled, err := b.compiler.NewAuth(set.Realm.Text, 0)
	if err != nil {
		b.fail(set.Realm.Position, err)
	}
	if compiled == nil {
		return nil
	}
	if set.File.Path == "" {
		b.warn(config.Problem{File: set.Realm.File, Line: set.Realm.Line, Severity: config.Warning,
			Text: `"auth_basic" without "auth_basic_user_file" asks nobody for a password`,
			Hint: "write auth_basic_user_file FILE; at the same level"})
		return nil
	}
	users, problems := b.users.Users(set.File.Path)
	for _, p := range problems {
		at := config.Problem{File: p.Path, Line: p.Line, Severity: config.Warning, Text: p.Text, Hint: p.Hint}
		if p.Line == 0 {
			at.File, at.Line, at.Text = set.File.File, set.File.Line, p.Path+": "+p.Text
		}
		b.warn(at)
	}
	if compiled.Users = slices.Index(b.sn.Users, users); compiled.Users < 0 {
		compiled.Users = len(b.sn.Users)
		b.sn.Users = append(b.sn.Users, users)
	}
	return compiled
}

// warn adds a problem, once.
func (b *builder) warn(p config.Problem) {
	if !slices.Contains(b.problems, p) {
		b.problems = append(b.problems, p)
	}
}

// verifyQueueMax bounds the passwords that wait to be verified.
const verifyQueueMax = 1024

// openAccess makes the pool that verifies passwords for all shards, where anybody is asked
// for one: a thread for every two shards.
func (e *engine) openAccess(sn *shard.Snapshot) {
	if len(sn.Users) == 0 || e.access.Load() != nil {
		return
	}
	workers := max(1, shardsOf(e.cfg)/2)
	runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + workers) // else they take the shards' processors
	e.access.Store(access.NewPool(workers, verifyQueueMax))
}

// watchUsers tells the log about files of users, now and whenever they change.
func (e *engine) watchUsers(store *access.Store) {
	store.SetLog(func(problem bool, text string) {
		level := observe.LevelNotice
		if problem {
			level = observe.LevelError
		}
		e.logger.Log(level, "users: %s", text)
	})
	for _, path := range store.Unreadable() {
		e.logger.Log(observe.LevelWarn, "users: %s can't be read again when it changes; requests are answered 500 then", path)
	}
}
