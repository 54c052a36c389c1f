package limit

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"testing"

	"github.com/cespare/xxhash/v2"
)

// The primes of xxhash.
const (
	prime1 uint64 = 11400714785074694791
	prime2 uint64 = 14029467366897019727
)

// inverse is the inverse of an odd number modulo 2^64.
func inverse(n uint64) uint64 {
	x := n
	for range 6 {
		x *= 2 - n*x
	}
	return x
}

// flipped is the word whose round differs from that of word in these bits.
func flipped(word, bit uint64) uint64 {
	round := bits.RotateLeft64(word*prime2, 31) * prime1
	return bits.RotateLeft64((round^bit)*inverse(prime1), -31) * inverse(prime2)
}

// Keys with the same xxhash under whatever seed are easy to find. They have a hash each here.
func TestHashesCannotBeChosen(t *testing.T) {
	key := func(a, b uint64) []byte {
		return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, a), b)
	}
	one, other := key(1, 2), key(flipped(1, 1<<36), flipped(2, 1<<63))
	if xxhash.Sum64(one) != xxhash.Sum64(other) {
		t.Fatal("the keys have different hashes to begin with")
	}
	if hashOf(one) == hashOf(other) {
		t.Error("the keys have one hash")
	}
}

func TestHashAllocatesNothing(t *testing.T) {
	key := []byte(fmt.Sprintf("%200d", 1))
	if n := testing.AllocsPerRun(100, func() { hashOf(key) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
