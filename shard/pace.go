package shard

import (
	"holdfast/relay"
)

// paces are the limits on how fast a tunnel reads, in bytes a second; 0 for none.
type paces struct{ download, upload int64 }

// pace limits how fast a tunnel reads from its upstream and from its client
// (proxy_download_rate, proxy_upload_rate).
func (sh *Shard) pace(s *Session, download, upload int64) {
	if download <= 0 && upload <= 0 || !s.state.tunnelled() {
		return
	}
	if sh.paces == nil {
		sh.paces = map[uint32]paces{}
	}
	sh.paces[s.slot] = paces{download, upload}
	s.flags |= flagPaced
}

// budgets are how many bytes the two halves of a tunnel may move now.
func (sh *Shard) budgets(s *Session) (down, up int) {
	if !s.has(flagPaced) {
		return tunnelBudget, tunnelBudget
	}
	p := sh.paces[s.slot]
	return sh.allowance(s, &s.Down, p.upload), sh.allowance(s, &s.Up, p.download)
}

// allowance is what a half may move by now, as in nginx: what the rate makes of the time
// since the tunnel opened and one second more, less what it has moved. It is less than
// Scratch, so that no more is read at once and no long silence has to follow.
func (sh *Shard) allowance(s *Session, h *relay.Half, rate int64) int {
	if rate <= 0 {
		return tunnelBudget
	}
	allowed := rate*(sh.nowMs-sh.tickMs(s.openedTick)+1000)/1000 - int64(h.Bytes)
	return int(min(max(allowed, 0), scratchSize-1))
}

// goesOn reports whether a half that ended its turn with p has more to do at once: not if
// it has to wait for its pace.
func (sh *Shard) goesOn(s *Session, h *relay.Half, p relay.Progress) bool {
	if p != relay.More && !readable(h) {
		return false
	}
	if !s.has(flagPaced) {
		return true
	}
	rate := sh.paces[s.slot].upload
	if h == &s.Up {
		rate = sh.paces[s.slot].download
	}
	return sh.allowance(s, h, rate) > 0
}

// paceMs is how long the tunnel has to wait until it may read again, 0 if it need not.
func (sh *Shard) paceMs(s *Session) (wait int64) {
	if !s.has(flagPaced) {
		return 0
	}
	p := sh.paces[s.slot]
	for _, l := range [...]struct {
		half *relay.Half
		rate int64
	}{{&s.Down, p.upload}, {&s.Up, p.download}} {
		if l.rate <= 0 || l.half.Bits&relay.CanRead == 0 || l.half.Holding() {
			continue
		}
		due := ((int64(l.half.Bytes)+1)*1000+l.rate-1)/l.rate - 1000 // its allowance is 1 by then
		if left := due - (sh.nowMs - sh.tickMs(s.openedTick)); left > 0 && (wait == 0 || left < wait) {
			wait = left
		}
	}
	return wait
}
