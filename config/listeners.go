package config

import "net/netip"

// serverListens pairs a server with its listen directives until all are known.
type serverListens struct {
	server  *Server
	listens []*listen
}

// implicitListen is what a server without listen directives listens on: port 80,
// or 8000 where low ports are not allowed, as in nginx.
func (l *loader) implicitListen(at Position) *listen {
	port := uint16(80)
	if l.opt.Geteuid() != 0 {
		port = 8000
	}
	addr := Addr{IP: netip.AddrPortFrom(netip.IPv4Unspecified(), port)}
	return &listen{Position: at, text: addr.String(), addrs: []Addr{addr}, options: defaultListenOptions()}
}

// listenerOwners says where the default server and the options of a listener were
// written; a zero Position means nowhere.
type listenerOwners struct{ isDefault, options Position }

// buildListeners gathers the listen directives of all servers by address.
func (l *loader) buildListeners() {
	byAddr := map[Addr]*Listener{}
	owners := map[*Listener]*listenerOwners{}
	for _, sl := range l.listensOf {
		own := map[Addr]Position{}
		for _, ln := range sl.listens {
			for _, addr := range ln.addrs {
				if first, again := own[addr]; again {
					l.add(Error, ln.Position, "remove it; the first is at "+first.String(), "a duplicate listen %s", addr)
					continue
				}
				own[addr] = ln.Position
				li := byAddr[addr]
				if li == nil {
					li = &Listener{Position: ln.Position, Addr: addr, Default: sl.server, Options: ln.options}
					byAddr[addr] = li
					owners[li] = &listenerOwners{}
					l.cfg.HTTP.Listeners = append(l.cfg.HTTP.Listeners, li)
				}
				if !l.sameContext(li, sl.server, ln) {
					continue
				}
				li.Servers = append(li.Servers, sl.server)
				sl.server.Listeners = append(sl.server.Listeners, li)
				l.claim(li, owners[li], sl.server, ln)
			}
		}
	}
	for _, li := range l.cfg.HTTP.Listeners {
		l.checkNames(li)
		l.checkStreamSharing(li)
	}
}

// claim applies to a listener what one server's listen directive says about it.
func (l *loader) claim(li *Listener, owner *listenerOwners, server *Server, ln *listen) {
	li.SSL = li.SSL || ln.ssl
	li.ProxyProtocol = li.ProxyProtocol || ln.proxyProtocol
	if ln.optionsSet {
		if owner.options.Line > 0 {
			l.add(Error, ln.Position, "write them in one server only; the first are at "+owner.options.String(),
				"duplicate listen options for %s", li.Addr)
		}
		owner.options = ln.Position
		li.Options = ln.options
	}
	if ln.isDefault {
		if owner.isDefault.Line > 0 {
			l.add(Error, ln.Position, "write default_server once per address; the first is at "+owner.isDefault.String(),
				"a duplicate default server for %s", li.Addr)
		}
		owner.isDefault = ln.Position
		li.Default = server
	}
}

// checkNames warns about names that two servers of one address have: the first
// server keeps them.
func (l *loader) checkNames(li *Listener) {
	first := map[string]bool{}
	for _, server := range li.Servers {
		for _, name := range server.Names {
			if name.Kind == NameRegex {
				continue
			}
			if first[name.Text] {
				l.add(Warning, name.Position, "", "conflicting server name %q on %s, ignored", name.Text, li.Addr)
			}
			first[name.Text] = true
		}
	}
}
