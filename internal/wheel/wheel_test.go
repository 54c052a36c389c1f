package wheel_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"holdfast/internal/wheel"
)

// record stands for a session: a link among other fields.
type record struct {
	_     uint64
	timer wheel.Link
}

func newWheel(records []record, nowMs int64) *wheel.Wheel {
	return wheel.New(func(id uint32) *wheel.Link { return &records[id].timer }, nowMs)
}

// model is the naive truth: a map from id to deadline.
type model struct {
	t       *testing.T
	wheel   *wheel.Wheel
	records []record
	armed   map[uint32]int64
	startMs int64
	nowMs   int64
}

func newModel(t *testing.T, ids int, startMs int64) *model {
	records := make([]record, ids)
	return &model{
		t: t, wheel: newWheel(records, startMs), records: records,
		armed: map[uint32]int64{}, startMs: startMs, nowMs: startMs,
	}
}

// dueMs is when a deadline must fire: at the end of the tick that holds it.
func (m *model) dueMs(deadlineMs int64) int64 {
	if deadlineMs <= m.startMs {
		return m.startMs
	}
	ticks := (deadlineMs - m.startMs + wheel.TickMs - 1) / wheel.TickMs
	return m.startMs + ticks*wheel.TickMs
}

func (m *model) set(id uint32, deadlineMs int64) {
	m.wheel.Set(id, deadlineMs)
	m.armed[id] = deadlineMs
}

func (m *model) cancel(id uint32) {
	m.wheel.Cancel(id)
	delete(m.armed, id)
}

// expire moves the clock and checks that exactly the due timers fired.
func (m *model) expire(nowMs int64) []uint32 {
	m.t.Helper()
	m.nowMs = nowMs
	fired := m.wheel.Expire(nowMs, nil)
	for _, id := range fired {
		deadline, ok := m.armed[id]
		if !ok {
			m.t.Fatalf("at %d: id %d fired but is not armed (or fired twice)", nowMs, id)
		}
		if nowMs < deadline {
			m.t.Fatalf("at %d: id %d fired before its deadline %d", nowMs, id, deadline)
		}
		if m.records[id].timer != (wheel.Link{}) {
			m.t.Fatalf("id %d fired and its link is not zero: %+v", id, m.records[id].timer)
		}
		delete(m.armed, id)
	}
	for id, deadline := range m.armed {
		if m.dueMs(deadline) <= nowMs {
			m.t.Fatalf("at %d: id %d with deadline %d is late by more than a tick", nowMs, id, deadline)
		}
	}
	m.check()
	return fired
}

func (m *model) check() {
	m.t.Helper()
	if m.wheel.Len() != len(m.armed) {
		m.t.Fatalf("Len is %d, want %d", m.wheel.Len(), len(m.armed))
	}
	wait := m.wheel.NextWaitMs(m.nowMs)
	if len(m.armed) == 0 {
		if wait != -1 {
			m.t.Fatalf("NextWaitMs is %d with no timer, want -1", wait)
		}
		return
	}
	earliest := int64(1 << 62)
	for _, deadline := range m.armed {
		earliest = min(earliest, m.dueMs(deadline))
	}
	if int64(wait) > max(earliest-m.nowMs, 0) {
		m.t.Fatalf("NextWaitMs is %d, but a timer is due in %d", wait, earliest-m.nowMs)
	}
	if wait < 0 {
		m.t.Fatalf("NextWaitMs is %d with %d timers", wait, len(m.armed))
	}
}

// aheadMs draws an interval of any magnitude up to 24 days.
func aheadMs(rng *rand.Rand) int64 {
	const day = 24 * 3600 * 1000
	switch rng.IntN(6) {
	case 0:
		return rng.Int64N(64)
	case 1:
		return rng.Int64N(2_000)
	case 2:
		return rng.Int64N(120_000)
	case 3:
		return rng.Int64N(day)
	case 4:
		return rng.Int64N(24 * day)
	}
	return -rng.Int64N(5_000)
}

func TestWheelAgainstModel(t *testing.T) {
	for seed := range uint64(200) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			m := newModel(t, 50, rng.Int64N(1<<40))
			for range 400 {
				id := uint32(rng.IntN(len(m.records)))
				switch rng.IntN(8) {
				case 0:
					m.cancel(id)
				case 1, 2:
					for _, fired := range m.expire(m.nowMs + max(aheadMs(rng), 0)) {
						if rng.IntN(3) == 0 {
							m.set(fired, m.nowMs+aheadMs(rng))
						}
					}
				case 3:
					if wait := m.wheel.NextWaitMs(m.nowMs); wait >= 0 {
						m.expire(m.nowMs + int64(wait))
					}
				default:
					m.set(id, m.nowMs+aheadMs(rng))
				}
				m.check()
			}
			m.expire(m.nowMs + 30*24*3600*1000)
			if len(m.armed) != 0 {
				t.Fatalf("%d timers were lost", len(m.armed))
			}
		})
	}
}

// A loop that sleeps as NextWaitMs says wakes at most once a level for a timer.
func TestNextWaitDoesNotSpin(t *testing.T) {
	for _, ahead := range []int64{0, 1, 15, 16, 17, 1023, 1024, 65_536, 3_600_000, 24 * 24 * 3_600_000} {
		records := make([]record, 1)
		now := int64(12_345)
		w := newWheel(records, now)
		now += 777
		w.Expire(now, nil)
		deadline := now + ahead
		w.Set(0, deadline)
		wakes := 0
		for w.Len() > 0 {
			wait := w.NextWaitMs(now)
			if wait < 0 {
				t.Fatalf("ahead %d: wait is %d with a timer armed", ahead, wait)
			}
			now += int64(wait)
			w.Expire(now, nil)
			if wakes++; wakes > 6 {
				t.Fatalf("ahead %d: more than 6 wakes for one timer", ahead)
			}
		}
		if now < deadline || now-deadline >= wheel.TickMs {
			t.Errorf("ahead %d: fired %d ms after its deadline, want 0 to %d", ahead, now-deadline, wheel.TickMs-1)
		}
	}
}

// A batch may cancel or re-arm other timers of the same batch.
func TestCancelAndRearmInsideExpiry(t *testing.T) {
	records := make([]record, 4)
	w := newWheel(records, 0)
	for id := range uint32(4) {
		w.Set(id, 100)
	}
	fired := w.Expire(200, nil)
	slices.Sort(fired)
	if !slices.Equal(fired, []uint32{0, 1, 2, 3}) {
		t.Fatalf("fired %v", fired)
	}
	w.Cancel(3)
	w.Set(2, 150)
	w.Set(1, 1000)
	if w.Len() != 2 || records[3].timer.Armed() || !records[2].timer.Armed() {
		t.Fatalf("Len %d after cancel and re-arm, want 2", w.Len())
	}
	if again := w.Expire(200, nil); !slices.Equal(again, []uint32{2}) {
		t.Fatalf("the timer re-armed in the past did not fire: %v", again)
	}
	if last := w.Expire(1008, nil); !slices.Equal(last, []uint32{1}) {
		t.Fatalf("the re-armed timer did not fire: %v", last)
	}
}

func TestClockGoingBack(t *testing.T) {
	m := newModel(t, 2, 1_000_000)
	m.set(0, 1_000_500)
	m.expire(1_000_400)
	if fired := m.wheel.Expire(999_000, nil); len(fired) != 0 {
		t.Fatalf("fired %v when the clock went back", fired)
	}
	m.expire(1_000_512)
}

// The 32 bits of a Link's deadline run over after 795 days.
func TestDeadlineRunsOver(t *testing.T) {
	m := newModel(t, 3, 0)
	const overMs = int64(1<<32) * wheel.TickMs
	for now := int64(0); now < overMs-100*wheel.TickMs; now += overMs / 7 {
		m.expire(now)
	}
	m.expire(overMs - 50*wheel.TickMs)
	m.set(0, overMs+70*wheel.TickMs)
	m.set(1, overMs-10*wheel.TickMs)
	m.set(2, overMs+100_000*wheel.TickMs)
	for step := range int64(300) {
		m.expire(overMs + (step-50)*wheel.TickMs)
	}
	m.expire(overMs + 100_000*wheel.TickMs)
	if m.wheel.Len() != 0 {
		t.Fatal("a timer beyond the run-over was lost")
	}
}

func TestFarthestDeadline(t *testing.T) {
	records := make([]record, 1)
	w := newWheel(records, 0)
	w.Set(0, 1<<62)
	if fired := w.Expire(wheel.MaxAheadMs-1, nil); len(fired) != 0 {
		t.Fatal("fired before the horizon")
	}
	if fired := w.Expire(wheel.MaxAheadMs, nil); len(fired) != 1 {
		t.Fatal("did not fire at the horizon")
	}
}

func TestNoAllocation(t *testing.T) {
	records := make([]record, 1000)
	w := newWheel(records, 0)
	dst := make([]uint32, 0, len(records))
	now := int64(0)
	if n := testing.AllocsPerRun(100, func() {
		for id := range uint32(len(records)) {
			w.Set(id, now+int64(id)*37)
		}
		for id := range uint32(100) {
			w.Cancel(id)
		}
		now += int64(w.NextWaitMs(now)) + 20_000
		dst = w.Expire(now, dst[:0])
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func FuzzWheel(f *testing.F) {
	f.Add([]byte{0, 1, 2, 3, 40, 200, 9, 1, 255, 7, 7})
	f.Fuzz(func(t *testing.T, script []byte) {
		m := newModel(t, 8, 1000)
		for ; len(script) >= 3; script = script[3:] {
			id := uint32(script[0] & 7)
			ahead := int64(script[1]) << (script[2] & 31 % 24)
			switch script[0] >> 6 {
			case 0, 1:
				m.set(id, m.nowMs+ahead-3)
			case 2:
				m.cancel(id)
			default:
				m.expire(m.nowMs + ahead)
			}
			m.check()
		}
	})
}

func BenchmarkSet(b *testing.B) {
	records := make([]record, 1<<16)
	w := newWheel(records, 0)
	for i := 0; b.Loop(); i++ {
		w.Set(uint32(i)&(1<<16-1), int64(i&0xffff)*61+1000)
	}
}

func BenchmarkSetExpire(b *testing.B) {
	records := make([]record, 1<<16)
	w := newWheel(records, 0)
	dst := make([]uint32, 0, len(records))
	now := int64(0)
	for i := 0; b.Loop(); i++ {
		w.Set(uint32(i)&(1<<16-1), now+60_000)
		if i&1023 == 0 {
			now += tickStepMs
			dst = w.Expire(now, dst[:0])
		}
	}
}

// tickStepMs is how far the benchmark's clock moves each time.
const tickStepMs = 16

func BenchmarkNextWait(b *testing.B) {
	records := make([]record, 1)
	w := newWheel(records, 0)
	w.Set(0, 24*24*3600*1000)
	for b.Loop() {
		w.NextWaitMs(5)
	}
}
