package engine

import (
	"cmp"
	"crypto/tls"
	"runtime"
	"slices"

	"holdfast/certs"
	"holdfast/config"
	"holdfast/route"
	"holdfast/shard"
	"holdfast/tlsio"
)

// tlsBuilder is the part of a builder that is about TLS.
type tlsBuilder struct {
	certs *certs.Store
	// servers and clients are those in use.
	servers []*certs.Server
	clients []*certs.Client
	// upstreams numbers the settings for TLS with upstreams, as Snapshot.UpstreamTLS does.
	upstreams map[upstreamKey]int
}

// verifyKey tells ways to verify certificates of clients apart.
type verifyKey struct {
	client, trusted, crl string
	depth                int
}

// upstreamKey tells settings for TLS with upstreams apart: the files and the text of the name,
// which http and stream compile each for itself.
type upstreamKey struct {
	client   *certs.Client
	name     string
	compiler *route.Compiler
}

func newTLSBuilder(store *certs.Store) tlsBuilder {
	return tlsBuilder{certs: store, upstreams: map[upstreamKey]int{}}
}

// verifyRules is route.Settings.SSLVerifyRules.
func (b *builder) verifyRules(set *config.SSLSettings) uint32 {
	if set.VerifyClient == config.VerifyOff {
		return 0
	}
	key := verifyKey{set.ClientCertificate.Path, set.TrustedCertificate.Path, set.CRL.Path, set.VerifyDepth}
	return uint32(b.life.verify.number(key)) + 1
}

// listenersTLS says for each listener with ssl what its clients get. The table has all
// servers.
func (b *builder) listenersTLS() {
	for _, l := range b.cfg.HTTP.Listeners {
		i := b.listens[l]
		if !l.SSL {
			continue
		}
		servers := make([]*certs.Server, len(l.Servers))
		rejects, rules := make([]bool, len(l.Servers)), make([]uint32, len(l.Servers))
		for j, s := range l.Servers {
			rejects[j], rules[j] = s.Settings.SSL.RejectHandshake, b.verifyRules(&s.Settings.SSL)
			if len(s.Settings.SSL.Certificates) > 0 {
				servers[j] = b.serverTLS(s)
			}
		}
		table, fallback := b.sn.Table, slices.Index(l.Servers, l.Default)
		choose := certs.Choose(servers, fallback, rejects, func(host string) int {
			if host == "" {
				return fallback
			}
			var e route.Env // for the captures of names that are regular expressions
			found := table.FindNamed(i, []byte(host), &e)
			if found == nil {
				return fallback
			}
			return table.Number(i, found)
		})
		b.sn.Listeners[i].TLS = func(hello *tls.ClientHelloInfo) *tlsio.ServerConfig {
			chosen := choose(hello)
			if chosen != nil { // Info.Server is by what rules the certificate was verified
				chosen.Index = int(rules[chosen.Index])
			}
			return chosen
		}
		b.sn.Listeners[i].HandshakeMs = ms(l.Default.Settings.SSL.HandshakeTimeout)
	}
}

// serverTLS reads the certificates of a server; nil after an error.
func (b *builder) serverTLS(s *config.Server) *certs.Server {
	set := &s.Settings.SSL
	spec := certs.ServerSpec{
		PasswordFile: certFile(set.PasswordFile), MinVersion: set.Protocols.Min, MaxVersion: set.Protocols.Max,
		CipherSuites: set.Ciphers, Curves: set.Curves, Tickets: set.SessionTickets, SessionTimeout: set.SessionTimeout,
	}
	if s.Stream == nil {
		spec.NextProtos = []string{"http/1.1"}
	}
	for i := range set.Certificates {
		spec.Certificates = append(spec.Certificates, certs.KeyPair{
			Certificate: certFile(set.Certificates[i]), Key: certFile(set.Keys[i]),
		})
	}
	for _, f := range set.TicketKeys {
		spec.TicketKeys = append(spec.TicketKeys, certFile(f))
	}
	if set.Stapling {
		spec.StaplingFile = certFile(set.StaplingFile)
	}
	if set.VerifyClient != config.VerifyOff {
		spec.AskClient, spec.VerifyDepth = true, set.VerifyDepth
		spec.ClientCA, spec.TrustedCA = certFile(set.ClientCertificate), certFile(set.TrustedCertificate)
		spec.CRL = certFile(set.CRL)
	}
	server, errs := b.tls.certs.Server(spec)
	if b.badFiles(errs); server != nil {
		b.tls.servers = append(b.tls.servers, server)
	}
	return server
}

func certFile(f config.File) certs.File {
	return certs.File{Path: f.Path, Conf: f.Position.File, Line: f.Line}
}

func (b *builder) badFiles(errs []*certs.FileError) {
	for _, err := range errs {
		p := fileProblem(err)
		p.Severity = config.Error
		if !slices.Contains(b.problems, p) {
			b.problems = append(b.problems, p)
		}
	}
}

// fileProblem is a warning about a file, at the line that names it.
func fileProblem(err *certs.FileError) config.Problem {
	return config.Problem{
		File: err.File.Conf, Line: err.File.Line, Severity: config.Warning, Text: err.Message(), Hint: err.Hint,
	}
}

// proxyTLS is route.Proxy.TLS of a location that speaks TLS with its upstream, or may, where
// the scheme has variables; 0 for others.
func (b *builder) proxyTLS(l *config.Location) int {
	if !l.ProxyPass.MayUseTLS() {
		return 0
	}
	return b.upstreamTLS(&l.Settings.Proxy.SSL, b.compiler, "$proxy_host", l.ProxyPass.Position)
}

// streamTLS is the same for a server of stream with proxy_ssl.
func (b *builder) streamTLS(pass *config.ProxyPass, set *config.Settings) int {
	if !set.Stream.ProxySSL {
		return 0
	}
	return b.upstreamTLS(&set.Proxy.SSL, b.stream, pass.Text, pass.Position)
}

// upstreamTLS is 1 + the index in Snapshot.UpstreamTLS of settings; 0 after an error. name is
// what proxy_ssl_name is unless it was written.
func (b *builder) upstreamTLS(set *config.ProxySSLSettings, c *route.Compiler, name string, at config.Position) int {
	spec := certs.ClientSpec{
		PasswordFile: certFile(set.PasswordFile), MinVersion: set.Protocols.Min, MaxVersion: set.Protocols.Max,
		CipherSuites: set.Ciphers, Verify: set.Verify, SendName: set.SendName, SessionReuse: set.SessionReuse,
	}
	if set.Certificate.Path != "" {
		spec.Certificate = certs.KeyPair{Certificate: certFile(set.Certificate), Key: certFile(set.Key)}
	}
	if set.Verify {
		spec.Depth, spec.Trusted, spec.CRL = set.Depth, certFile(set.Trusted), certFile(set.CRL)
	}
	client, errs := b.tls.certs.Client(spec)
	if b.badFiles(errs); client == nil {
		return 0
	}
	b.tls.clients = append(b.tls.clients, client)
	if set.Name.Text != "" {
		at = set.Name.Position
	}
	key := upstreamKey{client: client, name: cmp.Or(set.Name.Text, name), compiler: c}
	if number, ok := b.tls.upstreams[key]; ok {
		return number
	}
	text, err := c.Compile(key.name)
	if err != nil {
		b.fail(at, err)
		return 0
	}
	b.sn.UpstreamTLS = append(b.sn.UpstreamTLS, &shard.UpstreamTLS{
		Name: &text, ID: client.ID, Config: func(name string) *tls.Config { return client.For(name) },
	})
	b.tls.upstreams[key] = len(b.sn.UpstreamTLS)
	return len(b.sn.UpstreamTLS)
}

// speaksTLS tells whether anything of a snapshot does.
func speaksTLS(sn *shard.Snapshot) bool {
	return len(sn.UpstreamTLS) > 0 ||
		slices.ContainsFunc(sn.Listeners, func(l shard.ListenerInfo) bool { return l.TLS != nil })
}

// openHandshakes makes the pool for the handshakes of all shards, where there are any.
func (e *engine) openHandshakes(sn *shard.Snapshot, cfg *config.Config) {
	if speaksTLS(sn) && e.handshakes.Load() == nil {
		h := &cfg.Events.Handshakes
		if workers := tlsio.Computing(h.Computing); workers > 1 {
			runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + workers - 1) // else they take the shards' processors
		}
		e.handshakes.Store(tlsio.NewPool(tlsio.PoolOptions{
			Computing: h.Computing, ActiveMax: h.Active, QueueMax: h.Queue,
		}))
	}
}
