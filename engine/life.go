package engine

import (
	"strings"

	"holdfast/config"
	"holdfast/upstream"
)

// life is what has a number, or an owner, for the life of the process, so that what outlives a
// configuration can name it. It is used by one goroutine at a time.
type life struct {
	listeners numbering[listenerKey]
	spread    []bool            // by listener: keepalive is ours to choose, as last configured
	logs      numbering[string] // by logTarget.name
	verify    numbering[verifyKey]
	names     []*namedGroup                 // of the present configuration
	resolvers map[string]*upstream.Resolver // of the present configuration, by their settings
}

// numbersMax is how many listeners and logs may have been in use since the start: their numbers
// are kept in 16 bits.
const numbersMax = 1<<16 - 1

// numbering numbers keys in the order in which they come, from 0.
type numbering[K comparable] struct {
	byKey map[K]int
	list  []K
}

// number is that of key, which must not be part of a larger text: it is kept.
func (n *numbering[K]) number(key K) int {
	if i, known := n.byKey[key]; known {
		return i
	}
	if n.byKey == nil {
		n.byKey = map[K]int{}
	}
	n.byKey[key] = len(n.list)
	n.list = append(n.list, key)
	return len(n.list) - 1
}

// listenerKey tells listeners apart: one that is another kind of listener than before is another
// one at the same address, so that a connection goes on as it began.
type listenerKey struct {
	addr               string
	ssl, stream, proxy bool
}

func keyOf(l *config.Listener) listenerKey {
	return listenerKey{
		addr: strings.Clone(l.Addr.String()), ssl: l.SSL, proxy: l.ProxyProtocol,
		stream: len(l.Servers) > 0 && l.Servers[0].Stream != nil,
	}
}

// number is the listener's number, which it has as long as the process lives.
func (f *life) number(l *config.Listener) int {
	i := f.listeners.number(keyOf(l))
	if i == len(f.spread) {
		f.spread = append(f.spread, false)
	}
	f.spread[i] = spreadsKeepalive(l)
	return i
}
