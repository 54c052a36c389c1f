package engine

import (
	"slices"
	"time"

	"holdfast/admin"
	"holdfast/config"
	"holdfast/mirror"
	"holdfast/route"
)

// What may be on its way as copies of requests (mirror).
const (
	mirrorsMax      = 256
	mirrorQueueMax  = 1024
	mirrorBytesMax  = 64 << 20
	mirrorsEndAfter = time.Second // how long the end of the process waits for them
)

// newMirrors makes the pool that sends copies for all shards. It costs nothing unused.
func newMirrors() *mirror.Pool {
	return mirror.NewPool(mirror.Options{ActiveMax: mirrorsMax, QueueMax: mirrorQueueMax, BytesMax: mirrorBytesMax})
}

// mirror translates what a level says about copies; nil for none.
func (b *builder) mirror(s *config.MirrorSettings) *route.Mirror {
	if len(s.URIs) == 0 {
		return nil
	}
	return &route.Mirror{URIs: s.URIs, Body: s.Body}
}

// mirrors says whether a request may be copied.
func mirrors(cfg *config.Config) bool {
	for _, s := range cfg.HTTP.Servers {
		if slices.ContainsFunc(s.Locations, mirrorsIn) || slices.ContainsFunc(s.Named, mirrorsIn) {
			return true
		}
	}
	return false
}

func mirrorsIn(l *config.Location) bool {
	return len(l.Settings.Mirror.URIs) > 0 || slices.ContainsFunc(l.Inner(), mirrorsIn)
}

// mirrorInfo is what became of copies; the pool is nil before there are shards.
func mirrorInfo(p *mirror.Pool) (info admin.MirrorInfo) {
	if p == nil {
		return info
	}
	s := &p.Stats
	return admin.MirrorInfo{
		Answered: s.Answered.Load(), Failed: s.Failed.Load(), Dropped: s.Dropped.Load(), Skipped: s.Skipped.Load(),
	}
}
