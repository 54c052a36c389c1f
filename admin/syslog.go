package admin

import (
	"bytes"
	"errors"
	"net"
	"strconv"
	"time"

	"holdfast/observe"
)

// Syslog is a syslog server and how its messages look (RFC 3164, as nginx sends them).
type Syslog struct {
	// Network is "udp" or "unixgram", Address what net.Dial takes with it.
	Network, Address string
	Facility         int // 0 to 23
	// Severity is that of all messages, 0 to 7; with Errors each line of an error log has its own.
	Severity int
	Errors   bool
	Tag      string
	Hostname string // empty for none
}

const (
	// syslogBytesMax bounds a message: what does not fit into a datagram can't be sent.
	syslogBytesMax = 65000
	// syslogWait bounds the wait for a server whose socket takes no more.
	syslogWait = time.Second
)

// datagrams sends lines to a syslog server, one a message. It is the writer's own.
type datagrams struct {
	to      Syslog
	conn    net.Conn // nil while there is none
	message []byte
}

// put sends lines, one a datagram. It returns how many were lost, and why the first was.
func (d *datagrams) put(lines []byte, deadline time.Time) (lost uint64, why error) {
	for line := range bytes.Lines(lines) {
		line = bytes.TrimSuffix(line, []byte("\n"))
		d.message = d.to.appendHeader(d.message[:0], line, time.Now())
		d.message = append(d.message, line[:min(len(line), syslogBytesMax)]...)
		if err := d.send(deadline); err != nil {
			lost++
			if why == nil {
				why = err
			}
		}
	}
	return lost, why
}

// send sends the message. A server that was started anew has a new socket under its path,
// and an answer that a port is closed may be about the message before: so it is tried twice.
func (d *datagrams) send(deadline time.Time) error {
	var err error
	for range 2 {
		if err = d.dial(); err != nil {
			return err
		}
		wait := time.Now().Add(syslogWait)
		if !deadline.IsZero() && deadline.Before(wait) {
			wait = deadline
		}
		_ = d.conn.SetWriteDeadline(wait)
		if _, err = d.conn.Write(d.message); err == nil {
			return nil
		}
		if isTimeout(err) {
			return err
		}
		d.close()
	}
	return err
}

// dial makes the socket, if there is none.
func (d *datagrams) dial() (err error) {
	if d.conn == nil {
		d.conn, err = net.Dial(d.to.Network, d.to.Address)
	}
	return err
}

func isTimeout(err error) bool {
	var slow net.Error
	return errors.As(err, &slow) && slow.Timeout()
}

func (d *datagrams) close() {
	if d.conn != nil {
		_ = d.conn.Close()
		d.conn = nil
	}
}

// appendHeader appends what stands before a line: priority, time, host name and tag (RFC
// 3164 section 4.1).
func (s *Syslog) appendHeader(dst, line []byte, now time.Time) []byte {
	severity := s.Severity
	if s.Errors {
		severity = int(observe.LevelEmerg - observe.LineLevel(line))
	}
	dst = append(dst, '<')
	dst = strconv.AppendInt(dst, int64(s.Facility*8+severity), 10)
	dst = append(dst, '>')
	dst = now.AppendFormat(dst, time.Stamp)
	dst = append(dst, ' ')
	if s.Hostname != "" {
		dst = append(append(dst, s.Hostname...), ' ')
	}
	return append(append(dst, s.Tag...), ": "...)
}
