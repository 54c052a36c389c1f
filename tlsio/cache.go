package tlsio

import "math/bits"

// The cache of expanded ciphers starts with cacheMin entries and doubles up to cacheMax. An
// entry with both directions of AES-GCM is about 3 KiB.
const (
	cacheMin = 16
	cacheMax = 4096
)

// expanded are the ciphers of one connection.
type expanded struct {
	id      uint32 // 0: a free entry
	used    bool   // since the last trim
	in, out keys
}

// cipherCache finds the ciphers of the connections that were active of late. A connection
// has two places, side by side; who comes third throws one out.
type cipherCache struct {
	table []expanded // a power of two, or none
	count int
}

// find returns the entry of connection id, nil if it has none.
func (k *cipherCache) find(id uint32) *expanded {
	if k.table == nil {
		return nil
	}
	i := k.place(id)
	if e := &k.table[i]; e.id == id {
		return e
	}
	if e := &k.table[i^1]; e.id == id {
		return e
	}
	return nil
}

// get returns the entry of connection id, a new and empty one if it had none. It is valid
// until the next get.
func (k *cipherCache) get(id uint32) *expanded {
	e := k.find(id)
	if e == nil {
		e = k.claim(id)
	}
	e.used = true
	return e
}

// place spreads ids over the table (Fibonacci hashing): they are slots of a slab, and those
// of one kind of connection may have a stride.
func (k *cipherCache) place(id uint32) uint32 {
	return id * 0x9e3779b1 >> (33 - bits.Len(uint(len(k.table))))
}

func (k *cipherCache) claim(id uint32) *expanded {
	if k.table == nil || k.count >= len(k.table)/2 && len(k.table) < cacheMax {
		k.resize(max(cacheMin, 2*len(k.table)))
	}
	i := k.place(id)
	e := &k.table[i]
	if other := &k.table[i^1]; e.id != 0 && (other.id == 0 || e.used && !other.used) {
		e = other
	}
	if e.id == 0 {
		k.count++
	}
	*e = expanded{id: id}
	return e
}

// resize gives the table another size. An entry that finds both of its places taken is lost.
func (k *cipherCache) resize(size int) {
	old := k.table
	k.table, k.count = make([]expanded, size), 0
	for i := range old {
		if old[i].id != 0 {
			*k.claim(old[i].id) = old[i]
		}
		old[i] = expanded{}
	}
}

// purge gives up the ciphers of connection id and overwrites what can be: the round keys
// inside an AEAD of the standard library are left to the garbage collector.
func (k *cipherCache) purge(id uint32) {
	if e := k.find(id); e != nil {
		*e = expanded{}
		k.count--
	}
}

// trim gives up half of the entries that were not used since the last trim, and reports
// whether any entry is left.
func (k *cipherCache) trim() bool {
	idle := 0
	for i := range k.table {
		if k.table[i].id != 0 && !k.table[i].used {
			idle++
		}
	}
	drop := (idle + 1) / 2
	for i := range k.table {
		e := &k.table[i]
		if drop > 0 && e.id != 0 && !e.used {
			*e = expanded{}
			k.count--
			drop--
		}
		e.used = false
	}
	switch {
	case k.count == 0:
		k.table = nil
	case len(k.table) > cacheMin && k.count < len(k.table)/8:
		k.resize(len(k.table) / 2)
	}
	return k.count > 0
}
