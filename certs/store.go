package certs

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// Options are what a Store is made of.
type Options struct {
	// Log is told what happens to files while the process runs: problem says that something
	// can't be used. nil: nobody is told.
	Log func(problem bool, text string)
	// Now replaces time.Now.
	Now func() time.Time
}

// Store owns the certificates of a process. Its methods may be called from any goroutine.
type Store struct {
	opt Options

	mu      sync.Mutex
	servers map[string]*Server
	clients map[string]*Client
	items   []*item
	stamps  map[string]stamp
	made    *ticketKeys            // of the process
	byFiles map[string]*ticketKeys // of key files
	lastID  uint32                 // of Clients
	timeout time.Duration          // the longest of all servers
}

// item is a Server or Client with what is remembered about its files.
type item struct {
	owner any // the Server or Client
	files []File
	load  func() []*FileError
	// said is the last failure that was logged; empty after a success.
	said string
}

// NewStore makes an empty store.
func NewStore(opt Options) *Store {
	if opt.Log == nil {
		opt.Log = func(bool, string) {}
	}
	if opt.Now == nil {
		opt.Now = time.Now
	}
	return &Store{
		opt: opt, servers: map[string]*Server{}, clients: map[string]*Client{}, stamps: map[string]stamp{},
		byFiles: map[string]*ticketKeys{},
	}
}

// SetLog replaces Options.Log.
func (st *Store) SetLog(log func(problem bool, text string)) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.opt.Log = log
}

// Server reads the files of spec. The same settings give the same Server. With an error
// there is none.
func (st *Store) Server(spec ServerSpec) (*Server, []*FileError) {
	st.mu.Lock()
	defer st.mu.Unlock()
	key := fmt.Sprint(spec)
	if s := st.servers[key]; s != nil {
		return s, nil
	}
	s := &Server{spec: spec, now: st.opt.Now}
	if spec.Tickets {
		s.keys = st.ticketKeys(&spec)
	}
	if errs := st.add(s, s.files(), s.load); errs != nil {
		return nil, errs
	}
	st.servers[key] = s
	return s, nil
}

// ticketKeys are the keys that servers with the same ssl_session_ticket_key share.
func (st *Store) ticketKeys(spec *ServerSpec) *ticketKeys {
	if len(spec.TicketKeys) > 0 {
		key := fmt.Sprint(spec.TicketKeys)
		if st.byFiles[key] == nil {
			st.byFiles[key] = &ticketKeys{}
		}
		return st.byFiles[key]
	}
	st.timeout = max(st.timeout, spec.SessionTimeout)
	if st.made == nil {
		st.made = &ticketKeys{}
		st.made.rotate(st.opt.Now(), st.timeout)
	}
	return st.made
}

// Client reads the files of spec. The same settings give the same Client. With an error
// there is none.
func (st *Store) Client(spec ClientSpec) (*Client, []*FileError) {
	st.mu.Lock()
	defer st.mu.Unlock()
	key := fmt.Sprint(spec)
	if c := st.clients[key]; c != nil {
		return c, nil
	}
	st.lastID++
	c := &Client{ID: st.lastID, spec: spec, now: st.opt.Now}
	if spec.SessionReuse {
		c.sessions = tls.NewLRUClientSessionCache(sessionsMax)
	}
	if errs := st.add(c, c.files(), c.load); errs != nil {
		return nil, errs
	}
	st.clients[key] = c
	return c, nil
}

// add loads for the first time and remembers what the files were then.
func (st *Store) add(owner any, files []File, load func() []*FileError) []*FileError {
	for _, f := range files {
		st.stamps[f.Path] = stampOf(f.Path)
	}
	if errs := load(); errs != nil {
		return errs
	}
	st.items = append(st.items, &item{owner: owner, files: files, load: load})
	return nil
}

// Reload reads all files again. What can't be used is left as it was and logged; the result
// is how many settings are in use anew, and how many are not.
func (st *Store) Reload() (renewed, failed int) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, it := range st.items {
		it.said = ""
		st.restamp(it.files)
		if st.renew(it) {
			renewed++
		} else {
			failed++
		}
	}
	return renewed, failed
}

// Poll reads again what has changed on disk since it was read, and makes new keys for
// tickets when it is time to. It tries again what could not be used.
func (st *Store) Poll() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.made != nil {
		st.made.rotate(st.opt.Now(), st.timeout)
	}
	changed := map[string]bool{}
	for _, it := range st.items {
		for _, f := range it.files {
			if _, known := changed[f.Path]; !known {
				changed[f.Path] = !st.stamps[f.Path].same(stampOf(f.Path))
			}
		}
	}
	for _, it := range st.items {
		if it.said == "" && !slices.ContainsFunc(it.files, func(f File) bool { return changed[f.Path] }) {
			continue
		}
		st.restamp(it.files)
		if st.renew(it) {
			st.opt.Log(false, "read again: "+it.files[0].Path)
		}
	}
}

func (st *Store) restamp(files []File) {
	for _, f := range files {
		st.stamps[f.Path] = stampOf(f.Path)
	}
}

// renew loads an item again. It logs a failure once: a certificate and its key can't change
// at the same moment, so one is often seen without the other.
func (st *Store) renew(it *item) bool {
	errs := it.load()
	said := ""
	for _, err := range errs {
		said += err.Error() + "\n"
		if it.said == "" {
			st.opt.Log(true, err.Error()+"; what was in use stays")
		}
	}
	it.said = said
	return len(errs) == 0
}

// pollEvery is how often files are looked at; jitter spreads the processes of a machine.
const (
	pollEvery  = 10 * time.Second
	pollJitter = 2 * time.Second
)

// Watch calls Poll every ten seconds until ctx ends. Looking at the times of files works on
// every file system, and through the links that certificate managers turn around.
func (st *Store) Watch(ctx context.Context) {
	st.mu.Lock()
	idle := len(st.items) == 0
	st.mu.Unlock()
	if idle {
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

// Expiring are the files of certificates that are not valid in a while from now, or not now.
func (st *Store) Expiring(within time.Duration) (list []*FileError) {
	st.mu.Lock()
	defer st.mu.Unlock()
	now := st.opt.Now()
	judge := func(f File, leaf *x509.Certificate) {
		var text string
		switch {
		case leaf == nil:
			return
		case now.After(leaf.NotAfter):
			text = "the certificate has expired on " + day(leaf.NotAfter)
		case now.Before(leaf.NotBefore):
			text = "the certificate is not valid before " + day(leaf.NotBefore)
		case now.Add(within).After(leaf.NotAfter):
			text = "the certificate expires on " + day(leaf.NotAfter)
		default:
			return
		}
		list = append(list, fault(f, "renew it", "%s", text))
	}
	for _, s := range st.servers {
		for i, leaf := range s.state.Load().leaves {
			judge(s.spec.Certificates[i].Certificate, leaf)
		}
	}
	for _, c := range st.clients {
		judge(c.spec.Certificate.Certificate, c.state.Load().leaf)
	}
	slices.SortFunc(list, func(a, b *FileError) int { return a.File.Line - b.File.Line })
	return slices.CompactFunc(list, func(a, b *FileError) bool { return *a == *b })
}

// Unreadable are the files that the process can't open now: as another user than at the
// start it could not read them again.
func (st *Store) Unreadable() (list []*FileError) {
	st.mu.Lock()
	defer st.mu.Unlock()
	seen := map[string]bool{}
	for _, it := range st.items {
		for _, f := range it.files {
			if seen[f.Path] {
				continue
			}
			seen[f.Path] = true
			if err := readable(f); err != nil {
				list = append(list, err)
			}
		}
	}
	return list
}
