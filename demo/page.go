package demo

import (
	_ "embed" // the page
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"
)

//go:embed page.html
var page []byte

// pageServer serves the page and the calls its buttons make.
type pageServer struct {
	fleet   *fleet
	monitor *monitor
	config  string // the text the proxy runs with, for the page to show
}

// pageState is the answer to GET /demo/state.
type pageState struct {
	Client fleetState `json:"client"`
	Proxy  proxyState `json:"proxy"`
}

func (p *pageServer) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.index)
	mux.HandleFunc("GET /demo/state", p.state)
	mux.HandleFunc("GET /demo/config", p.conf)
	mux.HandleFunc("POST /demo/open", p.open)
	mux.HandleFunc("POST /demo/close", p.close)
	// Any page on the web may POST to a loopback address; only ours shall.
	return http.NewCrossOriginProtection().Handler(mux)
}

func (p *pageServer) server() *http.Server {
	return &http.Server{Handler: p.handler(), ReadHeaderTimeout: 10 * time.Second}
}

func (p *pageServer) index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write(page)
}

func (p *pageServer) conf(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write([]byte(p.config))
}

func (p *pageServer) state(w http.ResponseWriter, r *http.Request) {
	answer(w, http.StatusOK, pageState{Client: p.fleet.state(), Proxy: p.monitor.state(r.Context())})
}

func (p *pageServer) open(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.FormValue("n"))
	if err != nil {
		n = 0
	}
	switch err := p.fleet.open(n); {
	case err == nil:
		answer(w, http.StatusAccepted, p.fleet.state())
	case errors.Is(err, errFleetFull):
		answer(w, http.StatusConflict, refusal{Error: err.Error()})
	default:
		answer(w, http.StatusBadRequest, refusal{Error: err.Error()})
	}
}

func (p *pageServer) close(w http.ResponseWriter, _ *http.Request) {
	p.fleet.closeAll()
	answer(w, http.StatusOK, p.fleet.state())
}

// refusal is the body of an answer that is an error.
type refusal struct {
	Error string `json:"error"`
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}
