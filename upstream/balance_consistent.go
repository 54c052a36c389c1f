package upstream

import (
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"strings"
)

const (
	// pointsPerWeight is how many points a server has on the ring for each unit of weight.
	pointsPerWeight = 160
	// ConsistentWeightMax bounds the sum of the weights of a group with consistent hashing: its
	// ring takes 1.3 KB for each.
	ConsistentWeightMax = 1 << 17
)

// consistent is hash … consistent: ketama, with the points of nginx (and Cache::Memcached::Fast),
// so that it gives the same answers. A point belongs to a server as it is written in the
// configuration; several addresses of one name take turns.
type consistent struct {
	*roundRobin
	points []ringPoint
	// owners are, for each server of the ring, its members.
	owners []owner
}

type ringPoint struct {
	hash  uint32
	owner uint32
}

// owner is one server on the ring.
type owner struct {
	members []uint16
	*roundRobin
}

func newConsistent(rr *roundRobin, members []member) *consistent {
	r := &consistent{roundRobin: rr}
	byName := map[string]uint32{}
	for i := range members {
		m := &members[i]
		number, known := byName[m.server]
		if !known {
			number = uint32(len(r.owners))
			byName[m.server] = number
			r.owners = append(r.owners, owner{})
		}
		r.owners[number].members = append(r.owners[number].members, uint16(i))
		r.addPoints(number, m)
	}
	for i := range r.owners {
		r.owners[i].roundRobin = ownRound(members, r.owners[i].members)
	}
	slices.SortStableFunc(r.points, func(a, b ringPoint) int { return cmp.Compare(a.hash, b.hash) })
	r.points = slices.CompactFunc(r.points, func(a, b ringPoint) bool { return a.hash == b.hash })
	r.points = slices.Clip(r.points)
	return r
}

// ownRound is the order of the members of one server, nil for a single one.
func ownRound(members []member, of []uint16) *roundRobin {
	if len(of) < 2 {
		return nil
	}
	own := make([]member, len(of))
	for i, at := range of {
		own[i] = members[at]
	}
	return newRoundRobin(own)
}

// addPoints places a server: the hash of its host, a zero, its port and the hash before.
func (r *consistent) addPoints(number uint32, m *member) {
	host, port := ringName(m.server)
	base := crc32.ChecksumIEEE([]byte(host + "\x00" + port))
	var before [4]byte
	for range m.weight * pointsPerWeight {
		hash := crc32.Update(base, crc32.IEEETable, before[:])
		r.points = append(r.points, ringPoint{hash, number})
		binary.LittleEndian.PutUint32(before[:], hash)
	}
}

// ringName splits a server as nginx does for its ring: the port is what follows the last colon
// if that is digits only.
func ringName(server string) (host, port string) {
	if len(server) >= 5 && strings.EqualFold(server[:5], "unix:") {
		return server[5:], ""
	}
	colon := strings.LastIndexByte(server, ':')
	if colon < 0 || strings.Trim(server[colon+1:], "0123456789") != "" {
		return server, ""
	}
	return server[:colon], server[colon+1:]
}

// next walks the ring from the key's place on; after 20 points without a free member, and for an
// empty key, it is the turn of round robin.
func (r *consistent) next(s *set, c *Choice, nowMs int64) int {
	if s.single || len(r.points) == 0 || c.Key>>32 == 0 {
		return r.roundRobin.next(s, c, nowMs)
	}
	if c.rehashes == 0 {
		c.rehashes = 1
		c.hash = r.find(uint32(c.Key))
	}
	for c.draws <= drawsMax {
		o := &r.owners[r.points[c.hash%uint32(len(r.points))].owner]
		if i := o.next(s, c, nowMs); i >= 0 {
			return i
		}
		c.hash++
		c.draws++
	}
	return r.roundRobin.next(s, c, nowMs)
}

// next takes a member of the server, or returns -1.
func (o *owner) next(s *set, c *Choice, nowMs int64) int {
	if o.roundRobin != nil {
		for range min(len(o.cycle), probesMax) {
			if i := int(o.members[o.step()]); s.take(i, c, nowMs) {
				return i
			}
		}
	}
	for _, i := range o.members {
		if s.take(int(i), c, nowMs) {
			return int(i)
		}
	}
	return -1
}

// find is the first point at hash or behind it; the number of points if there is none.
func (r *consistent) find(hash uint32) uint32 {
	at, _ := slices.BinarySearchFunc(r.points, hash, func(p ringPoint, hash uint32) int {
		return cmp.Compare(p.hash, hash)
	})
	return uint32(at)
}
