package route

// SplitShare is one line of split_clients.
type SplitShare struct {
	// Hundredths is the share in hundredths of a percent; 0 is for all the rest.
	Hundredths uint32
	Value      string
}

// split is a compiled split_clients block.
type split struct{ shares []splitShare }

// splitShare is for the hashes below a bound; 0 is no bound.
type splitShare struct {
	below uint32
	value mapValue
}

var emptyValue mapValue

func newSplit(spec []SplitShare) *split {
	s := &split{}
	below := uint32(0)
	for _, share := range spec {
		bound := uint32(0)
		if share.Hundredths > 0 {
			const allHashes, whole = 0xffffffff, 10_000
			below += uint32(uint64(share.Hundredths) * allHashes / whole)
			bound = below
		}
		s.shares = append(s.shares, splitShare{below: bound, value: mapValue{constant: []byte(share.Value)}})
	}
	return s
}

// find is the value of the share that the source falls into (ngx_http_split_clients_module).
func (s *split) find(_ *Env, source []byte) *mapValue {
	hash := murmur2(source)
	for i := range s.shares {
		if share := &s.shares[i]; share.below == 0 || hash < share.below {
			return &share.value
		}
	}
	return &emptyValue
}

// murmur2 is the 32-bit MurmurHash2 with the seed that nginx uses: 0 XOR the length.
func murmur2(data []byte) uint32 {
	const m, r = 0x5bd1e995, 24
	hash := uint32(len(data))
	for ; len(data) >= 4; data = data[4:] {
		k := uint32(data[0]) | uint32(data[1])<<8 | uint32(data[2])<<16 | uint32(data[3])<<24
		k *= m
		k ^= k >> r
		hash = hash*m ^ k*m
	}
	if len(data) > 0 {
		for i, b := range data {
			hash ^= uint32(b) << (8 * i)
		}
		hash *= m
	}
	hash ^= hash >> 13
	hash *= m
	return hash ^ hash>>15
}
