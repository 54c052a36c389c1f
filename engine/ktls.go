package engine

import (
	"fmt"

	"holdfast/observe"
	"holdfast/tlsio"
)

// kernelTLS finds out, and says, what of TLS connections the kernel takes where ssl_ktls asks
// for that. It runs before privileges are dropped: the kernel loads its module for root.
func (e *engine) kernelTLS() tlsio.Kernel {
	if !e.cfg.Events.KernelTLS || !speaksTLS(e.built().Snapshot) {
		return tlsio.Kernel{}
	}
	kernel, err := tlsio.ProbeKernel()
	switch {
	case !kernel.Use:
		text := fmt.Sprintf("ssl_ktls: the kernel's TLS can't be had, TLS stays in the program: %v", err)
		e.logger.Log(observe.LevelWarn, "%s", text)
		fmt.Fprintf(e.opt.Stderr, "holdfast: warning: %s\n", text)
	case kernel.Rekey:
		e.logger.Log(observe.LevelNotice, "ssl_ktls: the kernel has TLS, and replaces keys")
	default:
		e.logger.Log(observe.LevelNotice, "ssl_ktls: the kernel has TLS; it can't replace keys (Linux 6.14 can), so a "+
			"connection with TLS 1.3 ends where its peer does")
	}
	return kernel
}
