package access

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Store has the files of users of a process. Its methods may be called from any goroutine.
type Store struct {
	mu    sync.Mutex
	files map[string]*Users
	log   atomic.Pointer[func(problem bool, text string)]
}

// NewStore makes an empty store.
func NewStore() *Store {
	st := &Store{files: map[string]*Users{}}
	st.SetLog(func(bool, string) {})
	return st
}

// SetLog has log told what happens to files while the process runs: problem says that
// something can't be used.
func (st *Store) SetLog(log func(problem bool, text string)) {
	st.log.Store(&log)
}

// Users reads a file. The same path gives the same Users, and the problems the first time
// only. A file that can't be read is a problem, too.
func (st *Store) Users(path string) (*Users, []Problem) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if u := st.files[path]; u != nil {
		return u, nil
	}
	u := &Users{path: path, store: st}
	st.files[path] = u
	return u, u.read()
}

// Empty tells whether there is no file.
func (st *Store) Empty() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return len(st.files) == 0
}

// Poll reads again what has changed on disk, and logs what is wrong with it.
func (st *Store) Poll() { st.reread(false) }

// Reload reads all files again; files is how many there are, failed how many can't be used.
func (st *Store) Reload() (files, failed int) { return st.reread(true) }

func (st *Store) reread(all bool) (files, failed int) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, path := range st.paths() {
		u := st.files[path]
		u.refresh(all)
		files++
		if u.table.Load().failed != 0 {
			failed++
		}
	}
	return files, failed
}

func (st *Store) paths() []string {
	paths := make([]string, 0, len(st.files))
	for path := range st.files {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

// pollEvery is how often files are looked at; jitter spreads the processes of a machine.
const (
	pollEvery  = 4 * time.Second
	pollJitter = time.Second
)

// Watch calls Poll every few seconds until ctx ends.
func (st *Store) Watch(ctx context.Context) {
	if st.Empty() {
		return
	}
	for {
		timer := time.NewTimer(pollEvery + rand.N(pollJitter))
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
			st.Poll()
		}
	}
}

// Unreadable are the files that are there and that the process can't open now: as another
// user than at the start it could not read them again.
func (st *Store) Unreadable() (paths []string) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, path := range st.paths() {
		if !st.files[path].readable() {
			paths = append(paths, path)
		}
	}
	return paths
}
