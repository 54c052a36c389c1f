package e2e_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"holdfast/test/proc"
)

// rated limits requests by the argument k, slowly enough that nothing leaks during a test.
const rated = `
limit_req_zone $arg_k zone=one:1m rate=1r/m;
limit_req_zone $arg_k zone=two:1m rate=1r/m;
limit_conn_zone $arg_k zone=conns:1m;
server {
	listen 127.0.0.1:{{port:front}};
	add_header X-Limits "$limit_req_status $limit_conn_status" always;
	limit_req_status 429;
	proxy_http_version 1.1;
	proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;
	location /burst { limit_req zone=one burst=3 nodelay; proxy_pass http://{{backend}}; }
	location /strict { limit_req zone=one; limit_req_status 503; limit_req_log_level warn; proxy_pass http://{{backend}}; }
	location /both { limit_req zone=one burst=5 nodelay; limit_req zone=two burst=1 nodelay; proxy_pass http://{{backend}}; }
	location /dry { limit_req zone=one burst=2 delay=1; limit_req_dry_run on; proxy_pass http://{{backend}}; }
	location /conns { limit_req zone=one; limit_conn conns 1; proxy_pass http://{{backend}}; }
	location /page { limit_req zone=one; error_page 429 /other; proxy_pass http://{{backend}}; }
	location /other { limit_req zone=two; limit_conn conns 1; return 200; proxy_pass http://{{backend}}; }
	location /return { limit_req zone=one; return 200 own; }
}`

// burst asks for target so many times and returns what each answer is.
func burst(c *proc.Raw, target string, times int) string {
	var all []string
	for range times {
		c.Send(get(target))
		h := c.Head()
		c.Body(h)
		limits := h.Get("X-Limits")
		all = append(all, fmt.Sprint(h.Status(), " ", limits))
	}
	return strings.Join(all, ", ")
}

func TestLimitReq(t *testing.T) {
	b := proc.NewBackend(t, proc.Echo())
	both(t, proc.Spec{HTTP: rated, Vars: map[string]string{"backend": b.Addr}}, func(t *testing.T, p *proc.Proxy) {
		c := proc.Dial(t, p.Front())
		for _, tc := range []struct {
			target string
			times  int
			want   string
		}{
			{"/burst?k=a", 6, "200 PASSED, 200 PASSED, 200 PASSED, 200 PASSED, 429 REJECTED, 429 REJECTED"},
			{"/strict?k=a", 1, "503 REJECTED"}, // the same zone
			{"/strict?k=b", 2, "200 PASSED, 503 REJECTED"},
			{"/both?k=c", 4, "200 PASSED, 200 PASSED, 429 REJECTED, 429 REJECTED"},
			{"/burst?k=c", 3, "200 PASSED, 200 PASSED, 429 REJECTED"}, // zone two refused, so zone one was not charged
			{"/dry?k=d", 4, "200 PASSED, 200 PASSED, 200 DELAYED_DRY_RUN, 200 REJECTED_DRY_RUN"},
			{"/conns?k=e", 2, "200 PASSED PASSED, 429 REJECTED"},
			{"/burst", 9, strings.TrimSuffix(strings.Repeat("200 , ", 9), ", ")},
			{"/return?k=f", 3, "200 , 200 , 200 "},
			{"/page?k=g", 2, "200 PASSED, 429 REJECTED"},
		} {
			equal(t, tc.target, burst(c, tc.target, tc.times), tc.want)
		}
		refused := proc.Dial(t, p.Front())
		refused.Send("GET /strict?k=b HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
		refused.Response(503)
		for _, text := range []string{
			`[error]`, `limiting requests, excess: `, ` by zone "one", client: 127.0.0.1`, ` by zone "two", client: 127.0.0.1`,
			`[warn]`, `delaying request, dry run, excess: `, `, by zone "one", client: 127.0.0.1`, `limiting requests, dry run, excess: `,
		} {
			proc.Until(t, "the error log has "+text, func() error {
				if !strings.Contains(p.ErrorLog(), text) {
					return fmt.Errorf("it has %s", p.ErrorLog())
				}
				return nil
			})
		}
		if p.Kind == proc.Holdfast {
			m := p.Metrics(t)
			equal(t, "passed", m[`holdfast_limits_total{directive="limit_req",result="passed",zone="one"}`], 4+1+2+2+2+1+1)
			equal(t, "rejected", m[`holdfast_limits_total{directive="limit_req",result="rejected",zone="two"}`], 2)
			equal(t, "keys", m[`holdfast_limit_keys{directive="limit_req",zone="two"}`], 1)
		}
	})
}

// paced has answers whose pace is limited, though not so that a test takes long.
const paced = `
limit_req_zone $arg_k zone=one:1m rate=20r/s;
log_format rates "$request_uri $limit_rate";
server {
	listen 127.0.0.1:{{port:front}};
	access_log logs/rates.log rates;
	location /slow { limit_rate 150k; limit_rate_after 20k; proxy_pass http://{{backend}}; }
	location /asked { limit_rate $arg_rate; proxy_pass http://{{backend}}; }
	location /source { proxy_limit_rate 150k; proxy_pass http://{{backend}}; }
	location /set { limit_rate 1; set $limit_rate 160k; proxy_pass http://{{backend}}; }
	location /if { if ($arg_a) { limit_rate 150k; } proxy_pass http://{{backend}}; }
	location /accel { limit_rate 1; proxy_pass http://{{accel}}; }
	location /file { limit_rate 150k; root {{dir}}; }
	location /plainfile { limit_rate 150k; sendfile off; alias {{dir}}/file; }
	location /ws {
		limit_rate 1k; limit_rate_after 1k; proxy_limit_rate 1k;
		proxy_pass http://{{echo}}; proxy_http_version 1.1;
		proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $http_connection;
	}
	location /delayed { limit_req zone=one burst=9; proxy_pass http://{{backend}}; }
}`

func TestPacedAnswers(t *testing.T) {
	body := strings.Repeat("0123456789abcdef", 200<<10/16)
	b := proc.NewBackend(t, proc.Answer(200, body))
	vars := map[string]string{"backend": b.Addr, "echo": proc.NewBackend(t, proc.Echo()).Addr,
		"accel": proc.NewBackend(t, proc.Answer(200, body, "X-Accel-Limit-Rate: 170000")).Addr}
	both(t, proc.Spec{HTTP: paced, Vars: vars}, func(t *testing.T, p *proc.Proxy) {
		if err := os.WriteFile(filepath.Join(p.Dir, "file"), []byte(body), 0o644); err != nil {
			t.Fatal(err)
		}
		tunnel := proc.Dial(t, p.Front())
		tunnel.Handshake("x", "/ws")
		tunnel.EchoText(body) // would take minutes if tunnels were limited
		c := proc.Dial(t, p.Front())
		for target, rate := range map[string]string{
			"/slow": "153600", "/asked?rate=150k": "153600", "/asked?rate=x": "0", "/asked": "0", "/source": "0",
			"/delayed?k=a": "0", "/file": "153600", "/set": "163840",
			"/if?a=1": "153600", "/if": "0", "/accel": "170000", "/plainfile": "153600",
		} {
			c.Send(get(target))
			if got := string(c.Body(c.Response(200))); got != body {
				t.Errorf("%s: %d bytes came, want %d", target, len(got), len(body))
			}
			proc.Until(t, "the rate is logged", func() error {
				text, err := os.ReadFile(filepath.Join(p.Dir, "logs/rates.log"))
				if err == nil && !strings.Contains(string(text), target+" "+rate+"\n") {
					err = fmt.Errorf("%s", text)
				}
				return err
			})
		}
	})
}
