package tlsio_test
import ("testing";"runtime";"time";"sort";"crypto/sha256";"sync/atomic";"holdfast/internal/sys")
func TestZZPrio(t *testing.T) {
	for _, y := range []string{"none","plain","yield","none","plain","yield"} {
		var stop atomic.Bool
		if y != "none" { for range 2 { go func(){ runtime.LockOSThread(); if y=="yield" {sys.YieldToOthers()}; b:=make([]byte,4096); for !stop.Load(){ sha256.Sum256(b) } }() } }
		p,_ := sys.NewPoller(4)
		done := make(chan []float64)
		go func(){ runtime.LockOSThread(); var l []float64
			for range 2000 { s:=time.Now(); p.Wait(1); l=append(l, time.Since(s).Seconds()*1e6-1000) }
			done <- l }()
		l := <-done; stop.Store(true); p.Close(); sort.Float64s(l)
		t.Logf("%s: p50 %.0f p90 %.0f p99 %.0f max %.0f us", y, l[len(l)/2], l[len(l)*9/10], l[len(l)*99/100], l[len(l)-1])
	}
}
