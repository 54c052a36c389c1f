package health

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
)

// failed is the fault of a system call, or what stands for one, in nginx's words.
func failed(call string, err error, while string) fault {
	f := fault{while: while}
	var timeout net.Error
	var errno syscall.Errno
	switch {
	case errors.As(err, &timeout) && timeout.Timeout():
		f.text = "upstream timed out (110: Connection timed out)"
	case errors.As(err, &errno):
		text := errno.Error()
		f.text = fmt.Sprintf("%s failed (%d: %s)", call, int(errno), strings.ToUpper(text[:1])+text[1:])
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		f.text = "upstream prematurely closed connection"
	default:
		text := strings.TrimPrefix(err.Error(), "tls: ")
		if strings.HasPrefix(text, "upstream SSL certificate") {
			f.text = text
		} else {
			f.text = fmt.Sprintf("%s failed (%s)", call, text)
		}
	}
	return f
}
