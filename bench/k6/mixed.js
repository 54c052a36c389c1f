// HTTP requests and WebSocket sessions through one proxy at once, as a site has them.
//
//   URL=http://127.0.0.1:8080 k6 run bench/k6/mixed.js
//
// The origin behind the proxy is bench/backend. What is set by the environment:
//
//   URL         the proxy (required); WebSockets go to the same host
//   DURATION    how long (10s)
//   HTTP_VUS    virtual users that ask for pages (8)
//   WS_VUS      virtual users that open sessions, one after the other (8)
//   MESSAGES    echoes in a session, one after the other (50)
//   SIZE        bytes of a message (64)
//
// The thresholds are on errors alone: how fast it goes depends on the machine. k6 uses
// much more of it than a proxy does, so read its figures for correctness and latency
// beside other work, and bench/loadgen's for throughput.
import http from 'k6/http';
import { check } from 'k6';
import { Counter, Trend } from 'k6/metrics';
import { WebSocket } from 'k6/websockets';
import { setTimeout, clearTimeout } from 'k6/timers';

if (!__ENV.URL) {
  throw new Error('set URL to the proxy, such as URL=http://127.0.0.1:8080');
}
const base = __ENV.URL.replace(/\/+$/, '');
const duration = __ENV.DURATION || '10s';
const messages = Number(__ENV.MESSAGES || 50);
const size = Number(__ENV.SIZE || 64);
const patience = 30000; // milliseconds for a session

const sessions = new Counter('sessions');
const echoes = new Counter('echoes');
const sessionErrors = new Counter('session_errors');
const echoTime = new Trend('echo_time', true);

export const options = {
  scenarios: {
    pages: { executor: 'constant-vus', exec: 'page', vus: Number(__ENV.HTTP_VUS || 8), duration, gracefulStop: '30s' },
    sockets: { executor: 'constant-vus', exec: 'session', vus: Number(__ENV.WS_VUS || 8), duration, gracefulStop: '30s' },
  },
  thresholds: {
    checks: ['rate==1'],
    http_req_failed: ['rate==0'],
    session_errors: ['count==0'],
    sessions: ['count>0'],
  },
};

// page asks for a small answer and a larger one on the same connection.
export function page() {
  for (const [path, bytes] of [['/', 128], ['/b/20000', 20000]]) {
    const r = http.get(base + path, { tags: { name: path } });
    check(r, {
      'status is 200': (r) => r.status === 200,
      'the body is whole': (r) => r.body !== null && r.body.length === bytes,
    });
  }
}

// session opens a WebSocket, echoes its messages and closes it in order.
export function session() {
  const ws = new WebSocket(base.replace(/^http/, 'ws') + '/');
  let n = 0;
  let sent = 0;
  let done = false;
  const fill = 'x'.repeat(size);
  const text = () => (String(n) + ' ' + fill).slice(0, size);
  const timer = setTimeout(() => fail('no end within ' + patience + ' ms'), patience);

  function fail(why) {
    if (!done) {
      done = true;
      sessionErrors.add(1);
      console.error('session: ' + why);
      ws.close();
    }
    clearTimeout(timer);
  }
  function send() {
    sent = Date.now();
    ws.send(text());
  }
  ws.onopen = send;
  ws.onmessage = (event) => {
    if (event.data !== text()) {
      fail('message ' + n + ' came back as another');
      return;
    }
    echoTime.add(Date.now() - sent);
    echoes.add(1);
    n++;
    if (n < messages) {
      send();
      return;
    }
    done = true;
    sessions.add(1);
    clearTimeout(timer);
    ws.close();
  };
  ws.onerror = (event) => fail(event.error);
  ws.onclose = () => fail('closed behind ' + n + ' of ' + messages + ' messages');
}
