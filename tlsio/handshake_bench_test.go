package tlsio_test

import (
	"crypto/tls"
	"io"
	"net"
	"runtime"
	"syscall"
	"testing"

	"holdfast/tlsio"
)

// cpu is what the process has used, in seconds.
func cpu(b *testing.B) float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
}

// clients make handshakes, 32 at a time, with a server that accept hands connections to.
// The client's part of the processors is in both figures.
func benchmark(b *testing.B, client func() *tls.Config, accept func(net.Conn)) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			accept(conn)
		}
	}()
	runtime.GC()
	before := cpu(b)
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		c := client()
		for pb.Next() {
			conn, err := tls.Dial("tcp", ln.Addr().String(), c)
			if err != nil {
				b.Error(err)
				return
			}
			_, _ = conn.Read(make([]byte, 1)) // the ticket, then the end
			conn.NetConn().Close()
		}
	})
	b.ReportMetric(float64(b.N)/(cpu(b)-before), "handshakes/cpu-s")
}

func BenchmarkHandshake(b *testing.B) {
	certs := makeCertificates(b)
	for _, kind := range []string{"full", "resumed", "1.2", "RSA"} {
		client := func() *tls.Config {
			c := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost"}
			if kind == "resumed" {
				c.ClientSessionCache = tls.NewLRUClientSessionCache(1)
			}
			if kind == "1.2" {
				c.MaxVersion = tls.VersionTLS12
			}
			return c
		}
		server := &tls.Config{Certificates: []tls.Certificate{certs.ecdsa}}
		if kind == "RSA" {
			server.Certificates[0] = certs.rsa
		}
		b.Run(kind+"/plain", func(b *testing.B) {
			benchmark(b, client, func(conn net.Conn) {
				go func() {
					_ = tls.Server(conn, server).Handshake()
					conn.Close()
				}()
			})
		})
		b.Run(kind+"/pool", func(b *testing.B) {
			r := newHandshaker(b, tlsio.PoolOptions{Computing: runtime.NumCPU()})
			benchmark(b, client, func(conn net.Conn) {
				file, err := conn.(*net.TCPConn).File()
				if err != nil {
					b.Error(err)
					return
				}
				conn.Close()
				_, c := r.start(tlsio.Order{FD: int32(file.Fd()), Choose: only(server)})
				go func() {
					if res := <-c; res.Err != nil && res.Err != io.EOF {
						b.Error(res.Err)
					}
					file.Close()
				}()
			})
		})
	}
}
