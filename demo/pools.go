package demo

import (
	"github.com/panjf2000/ants/v2"
	"github.com/panjf2000/gnet/v2/pkg/pool/goroutine"
)

// StopWorkerPools ends the worker pools that gnet brings along: they start with the
// program, used or not, and wake it twice a second. A process that runs the proxy and
// no echo backend calls it first, so that it sleeps when its tunnels do. A demo in the
// same process can't be run afterwards.
func StopWorkerPools() {
	goroutine.DefaultWorkerPool.Release()
	ants.Release()
}
