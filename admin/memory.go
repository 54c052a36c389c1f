package admin

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime/metrics"
	"strconv"
	"sync"
	"time"
)

// memoryEvery is how often the memory is really looked at: smaps_rollup walks the page
// tables under a lock that the shards' page faults want too.
const memoryEvery = time.Second

// memory is what the process uses, in bytes; 0 where the kernel does not tell.
type memory struct {
	RSS  uint64 `json:"rss_bytes"`
	PSS  uint64 `json:"pss_bytes"`
	Heap uint64 `json:"heap_bytes"`
}

// memoryReader remembers the last look for memoryEvery.
type memoryReader struct {
	mu   sync.Mutex
	at   time.Time
	last memory
}

func (m *memoryReader) read() memory {
	m.mu.Lock()
	defer m.mu.Unlock()
	if now := time.Now(); m.at.IsZero() || now.Sub(m.at) >= memoryEvery {
		m.at = now
		m.last = readMemory()
	}
	return m.last
}

func readMemory() memory {
	var result memory
	if text, err := os.ReadFile("/proc/self/smaps_rollup"); err == nil {
		result.RSS = kilobytes(text, "Rss:")
		result.PSS = kilobytes(text, "Pss:")
	}
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	if sample[0].Value.Kind() == metrics.KindUint64 {
		result.Heap = sample[0].Value.Uint64()
	}
	return result
}

// kilobytes finds the line of smaps_rollup that begins with key, in bytes.
func kilobytes(text []byte, key string) uint64 {
	for line := range bytes.Lines(text) {
		rest, ok := bytes.CutPrefix(line, []byte(key))
		if !ok {
			continue
		}
		fields := bytes.Fields(rest)
		if len(fields) == 0 {
			return 0
		}
		n, err := strconv.ParseUint(string(fields[0]), 10, 64)
		if err != nil {
			return 0
		}
		return n << 10
	}
	return 0
}

// openFds is the number of open file descriptors of the process, or -1. Since Linux
// 6.2 the directory's size is that number; before, it has to be counted.
func openFds() int {
	const dir = "/proc/self/fd"
	if info, err := os.Stat(dir); err == nil && info.Size() > 0 {
		return int(info.Size())
	}
	f, err := os.Open(dir)
	if err != nil {
		return -1
	}
	defer f.Close()
	n := -1 // this listing's own descriptor
	for {
		names, err := f.Readdirnames(4096)
		n += len(names)
		if errors.Is(err, io.EOF) {
			return n
		}
		if err != nil {
			return -1
		}
	}
}
