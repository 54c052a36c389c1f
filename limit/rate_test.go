package limit_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"holdfast/limit"
)

// perSecond is a rate or an amount of n requests, in thousandths.
func perSecond(n int64) int64 { return n * 1000 }

// one judges a request by one limit and charges it if it keeps to it.
func one(t *limit.Trial, l limit.RateLimit, key string, nowMs int64) (v limit.Verdict, excess, delayMs int64) {
	t.Begin()
	v = t.Judge(l, []byte(key), nowMs, true)
	if v == limit.Within {
		t.Charge(nowMs)
	}
	return v, t.Excess, t.DelayMs
}

func TestBurstAndDelay(t *testing.T) {
	var zs limit.Zones
	var trial limit.Trial
	l := limit.RateLimit{
		Zone: zs.OpenRate("z", "$key", 1<<20), Rate: perSecond(2), Burst: perSecond(3), Delay: perSecond(1),
	}
	for i, want := range []struct {
		nowMs   int64
		verdict limit.Verdict
		excess  int64
		delayMs int64
	}{
		{10_000, limit.Within, 0, 0},
		{10_000, limit.Within, 0, 0}, // an excess of 1: all that may pass without delay
		{10_000, limit.Within, 2000, 500},
		{10_000, limit.Within, 3000, 1000},
		{10_000, limit.Exceeds, 4000, 0},
		{10_250, limit.Exceeds, 3500, 0}, // half a request has left; what was refused was not charged
		{10_500, limit.Within, 3000, 1000},
		{9_990, limit.Exceeds, 4000, 0}, // another shard's clock
		{12_000, limit.Within, 0, 0},
		{12_001, limit.Within, 1998, 499},
		{99_000, limit.Within, 0, 0},
	} {
		verdict, excess, delayMs := one(&trial, l, "k", want.nowMs)
		if verdict == limit.Within && delayMs == 0 {
			excess = 0
		}
		if verdict != want.verdict || excess != want.excess || delayMs != want.delayMs {
			t.Errorf("%d: %v, excess %d, delay %d ms; want %+v", i, verdict, excess, delayMs, want)
		}
	}
}

// model is a leaky bucket in the plainest form: what has come less what has leaked.
type model struct {
	excess, lastMs int64
	known          bool
}

func (m *model) judge(rate, burst, nowMs int64) (excess int64, ok bool) {
	if !m.known {
		*m = model{0, nowMs, true}
		return 0, true
	}
	passed := nowMs - m.lastMs
	excess = max(m.excess-rate*passed/1000+1000, 0)
	if excess > burst {
		return excess, false
	}
	if passed != 0 {
		m.lastMs = nowMs
	}
	m.excess = excess
	return excess, true
}

// TestModel compares the bucket with the model over random requests.
func TestModel(t *testing.T) {
	var zs limit.Zones
	var trial limit.Trial
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 2))
		l := limit.RateLimit{
			Zone: zs.OpenRate(fmt.Sprint(seed), "$key", 1<<20), Rate: 1 + random.Int64N(5000),
			Burst: perSecond(random.Int64N(6)), Delay: perSecond(random.Int64N(4)),
		}
		models := map[string]*model{}
		nowMs := int64(1_000_000)
		for i := range 3000 {
			nowMs += random.Int64N(1 + random.Int64N(2000))
			key := fmt.Sprint(random.IntN(5))
			if models[key] == nil {
				models[key] = &model{}
			}
			want, ok := models[key].judge(l.Rate, l.Burst, nowMs)
			verdict, excess, delayMs := one(&trial, l, key, nowMs)
			switch {
			case (verdict == limit.Within) != ok:
				t.Fatalf("seed %d, request %d: %v with an excess of %d", seed, i, verdict, want)
			case !ok && excess != want:
				t.Fatalf("seed %d, request %d: excess %d, want %d", seed, i, excess, want)
			case ok && delayMs != max(want-l.Delay, 0)*1000/l.Rate:
				t.Fatalf("seed %d, request %d: delay %d ms for an excess of %d", seed, i, delayMs, want)
			}
		}
	}
}

// TestAllAreAskedBeforeAnyIsCharged proves that a request that one limit refuses costs the
// others nothing, and that the longest delay counts.
func TestAllAreAskedBeforeAnyIsCharged(t *testing.T) {
	var zs limit.Zones
	var trial limit.Trial
	wide := limit.RateLimit{Zone: zs.OpenRate("wide", "$a", 1<<20), Rate: perSecond(1), Burst: perSecond(2)}
	narrow := limit.RateLimit{Zone: zs.OpenRate("narrow", "$b", 1<<20), Rate: perSecond(4), Burst: perSecond(1)}
	both := func() limit.Verdict {
		trial.Begin()
		v := trial.Judge(wide, []byte("k"), 5000, false)
		if v == limit.Within {
			v = trial.Judge(narrow, []byte("k"), 5000, true)
		}
		if v != limit.Within {
			trial.Abandon()
			return v
		}
		trial.Charge(5000)
		return v
	}
	if v := both(); v != limit.Within || trial.DelayMs != 0 {
		t.Fatalf("the first: %v, %d ms", v, trial.DelayMs)
	}
	if v := both(); v != limit.Within || trial.DelayMs != 1000 || trial.Zone != wide.Zone || trial.Excess != 1000 {
		t.Fatalf("the second: %v, %d ms", v, trial.DelayMs)
	}
	for range 5 {
		if v := both(); v != limit.Exceeds || trial.Zone != narrow.Zone || trial.Excess != 2000 {
			t.Fatalf("the narrow one does not refuse: %v", v)
		}
	}
	if v, _, delayMs := one(&trial, wide, "k", 5000); v != limit.Within || delayMs != 2000 {
		t.Errorf("the wide one was charged for what the narrow one refused: %v, %d ms", v, delayMs)
	}
}

// TestRateKeys proves that what is no key is not limited, and that long keys are told apart.
func TestRateKeys(t *testing.T) {
	var zs limit.Zones
	var trial limit.Trial
	l := limit.RateLimit{Zone: zs.OpenRate("z", "$key", 1<<20), Rate: 1}
	long := string(make([]byte, 500))
	for key, want := range map[string]limit.Verdict{
		"": limit.Within, string(make([]byte, limit.RateKeyMax+1)): limit.Within,
		long + "a": limit.Exceeds, long + "b": limit.Exceeds, long: limit.Exceeds, "x": limit.Exceeds,
	} {
		one(&trial, l, key, 1000)
		if v, _, _ := one(&trial, l, key, 1000); v != want {
			t.Errorf("a key of %d bytes: %v", len(key), v)
		}
	}
	if n := l.Zone.Len(); n != 4 {
		t.Errorf("%d keys", n)
	}
}

// TestOldestGoes proves that a full table forgets the keys that were touched the longest time
// ago, and that it refuses where even that does not help.
func TestOldestGoes(t *testing.T) {
	var zs limit.Zones
	var trial limit.Trial
	l := limit.RateLimit{Zone: zs.OpenRate("z", "$key", 32<<10), Rate: 1}
	const most = 7 * 4096 / 128
	for i := range most {
		one(&trial, l, fmt.Sprintf("%08d", i), 1000)
	}
	if n := l.Zone.Len(); n != most {
		t.Fatalf("%d keys, want %d", n, most)
	}
	if v, _, _ := one(&trial, l, "00000000", 1000); v != limit.Exceeds {
		t.Fatal("the first key is unknown") // and the newest from now on
	}
	one(&trial, l, "new", 1000)
	if v, _, _ := one(&trial, l, "00000000", 1000); v != limit.Exceeds || l.Zone.Len() != most {
		t.Errorf("the first key was forgotten; %d keys", l.Zone.Len())
	}
	if v, _, _ := one(&trial, l, "00000001", 1000); v != limit.Within {
		t.Error("the oldest key was not forgotten")
	}
	if v, _, _ := one(&trial, l, string(make([]byte, 3000)), 1000); v != limit.NoRoom {
		t.Error("one old key has made room for a page")
	}
	one(&trial, l, "later", 500_000_000) // for the page one went; two that are empty by now go for this
	if n := l.Zone.Len(); n != most-2 {
		t.Errorf("%d keys, want %d", n, most-2)
	}
}

// TestHeldKeysStay proves that a key stays in the table while a trial is under way.
func TestHeldKeysStay(t *testing.T) {
	var zs limit.Zones
	var first, second limit.Trial
	l := limit.RateLimit{Zone: zs.OpenRate("z", "$key", 32<<10), Rate: 1}
	first.Begin()
	if v := first.Judge(l, []byte("held"), 1000, false); v != limit.Within {
		t.Fatal(v)
	}
	refused := 0
	for i := range 1000 {
		if v, _, _ := one(&second, l, fmt.Sprintf("%08d", i), 1000); v == limit.NoRoom {
			refused++
		}
	}
	if refused == 0 {
		t.Error("the oldest key is held, and new ones go in")
	}
	first.Charge(1000)
	if v, _, _ := one(&second, l, "held", 1000); v != limit.Exceeds {
		t.Error("the held key was forgotten")
	}
	if v, _, _ := one(&second, l, "another", 1000); v != limit.Within {
		t.Error("no room after the trial")
	}
}

// TestShardsTogether proves that 8 shards at once let no more pass than the burst allows.
func TestShardsTogether(t *testing.T) {
	const keys, burst, workers, rounds = 50, 20, 8, 5000
	var zs limit.Zones
	l := limit.RateLimit{Zone: zs.OpenRate("z", "$key", 1<<20), Rate: 1, Burst: perSecond(burst), Delay: perSecond(burst)}
	other := limit.RateLimit{Zone: zs.OpenRate("other", "$key", 1<<20), Rate: 1, Burst: perSecond(1 << 40)}
	var passed [keys]atomic.Int32
	var group sync.WaitGroup
	for w := range workers {
		group.Go(func() {
			var trial limit.Trial
			random := rand.New(rand.NewPCG(uint64(w), 3))
			for range rounds {
				key := random.IntN(keys)
				text := fmt.Appendf(nil, "key %d", key)
				trial.Begin()
				if trial.Judge(other, text, 1000, false) != limit.Within {
					t.Error("the other limit refuses")
				}
				if trial.Judge(l, text, 1000, true) == limit.Within {
					trial.Charge(1000)
					passed[key].Add(1)
				} else {
					trial.Abandon()
				}
			}
		})
	}
	group.Wait()
	for key := range passed {
		if n := passed[key].Load(); n != burst+1 {
			t.Errorf("key %d: %d requests passed, want %d", key, n, burst+1)
		}
	}
	var trial limit.Trial
	for i := range 5000 {
		one(&trial, other, fmt.Sprint("more ", i), 1000) // nothing is held: nothing refuses
		one(&trial, other, fmt.Sprint("other ", i), 1000+100_000_000)
	}
}

// TestRatesOutliveConfigurations proves that the same zone goes on, and another is another.
func TestRatesOutliveConfigurations(t *testing.T) {
	var zs limit.Zones
	z := zs.OpenRate("z", "$a", 1<<20)
	if zs.OpenRate("z", "$a", 1<<20) != z {
		t.Error("the same zone is another one")
	}
	if zs.OpenRate("z", "$b", 1<<20) == z || zs.OpenRate("z", "$a", 2<<20) == z || zs.OpenRate("y", "$a", 1<<20) == z {
		t.Error("another zone is the same one")
	}
	if z.Name() != "z" || z.Key() != "$a" {
		t.Errorf("%q by %q", z.Name(), z.Key())
	}
}

func TestRatesAllocateNothing(t *testing.T) {
	var zs limit.Zones
	var trial limit.Trial
	l := limit.RateLimit{Zone: zs.OpenRate("z", "$key", 32<<10), Rate: 1}
	key := []byte("key 00000000")
	for i := range 1000 { // the table has come to its size
		key[4] = byte(i)
		key[5] = byte(i >> 8)
		one(&trial, l, string(key), int64(i))
	}
	i := 1000
	if n := testing.AllocsPerRun(500, func() {
		i++
		key[6], key[7] = byte(i), byte(i>>8)
		trial.Begin()
		if trial.Judge(l, key, int64(i), false) == limit.Within {
			trial.Charge(int64(i))
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkTrial(b *testing.B) {
	var zs limit.Zones
	l := limit.RateLimit{Zone: zs.OpenRate("z", "$key", 10<<20), Rate: perSecond(1), Burst: perSecond(1)}
	var next atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		var trial limit.Trial
		key := []byte("192.0.2.000.0000")
		n := next.Add(1) << 40
		for pb.Next() {
			n++
			key[8], key[9], key[10], key[11] = byte(n), byte(n>>8), byte(n>>16), byte(n>>40)
			trial.Begin()
			if trial.Judge(l, key, n, true) == limit.Within {
				trial.Charge(n)
			}
		}
	})
}
