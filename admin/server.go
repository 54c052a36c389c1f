package admin

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	headTimeout   = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 60 * time.Second
	headBytesMax  = 16 << 10
	connsMax      = 128 // connections at once; more wait in the listen queue
	scrapesMax    = 4   // /metrics answers at once; more get a 503
	bodyBytesMax  = 4 << 10
	textPlain     = "text/plain; charset=utf-8"
	jsonType      = "application/json"
	endpointsText = "endpoints: /metrics /status /healthz /readyz\n"
)

// Options says what an admin server serves, and where.
type Options struct {
	// Listener takes the connections: TCP or a unix socket. The server closes it.
	Listener net.Listener
	Source   Source
	// Logs, if set, are asked for the number of lines they lost.
	Logs *Logs
}

// Server answers /metrics (Prometheus text), /status (JSON), /healthz and /readyz.
type Server struct {
	http     *http.Server
	listener net.Listener
	source   Source
	logs     *Logs
	memory   memoryReader
}

// New returns a server; Serve starts it.
func New(opt Options) *Server {
	s := &Server{listener: newLimitListener(opt.Listener, connsMax), source: opt.Source, logs: opt.Logs}
	s.http = &http.Server{
		Handler:           guard(s.routes()),
		ReadHeaderTimeout: headTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    headBytesMax,
		// What a client breaks is the client's affair and not for the error log.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	return s
}

// Serve answers until Shutdown, and then returns nil; or until the listener fails.
func (s *Server) Serve() error {
	if err := s.http.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Shutdown stops accepting, waits for answers being written until ctx is done, and
// then cuts what is left.
func (s *Server) Shutdown(ctx context.Context) error {
	err := s.http.Shutdown(ctx)
	if err != nil {
		return errors.Join(err, s.http.Close())
	}
	return nil
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	registry := prometheus.NewRegistry()
	registry.MustRegister(newCollector(s), newProcessCollector(), newGoCollector())
	mux.Handle("/metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		MaxRequestsInFlight: scrapesMax,
		// One bad series must not hide all the others.
		ErrorHandling: promhttp.ContinueOnError,
	}))
	mux.HandleFunc("/status", s.serveStatus)
	mux.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, "ok\n")
	})
	mux.HandleFunc("/readyz", func(w http.ResponseWriter, _ *http.Request) {
		if s.source.Info().Draining {
			answer(w, http.StatusServiceUnavailable, "draining\n")
			return
		}
		answer(w, http.StatusOK, "ready\n")
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusNotFound, "not found; "+endpointsText)
	})
	return mux
}

// answer writes a short text. A client that has gone is no error of ours.
func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", textPlain)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}
