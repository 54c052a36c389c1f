// Many WebSockets that are silent but for a ping now and then, as most are.
//
//   URL=ws://127.0.0.1:8080/ SOCKETS=2000 k6 run bench/k6/hold.js
//
// The origin behind the proxy is bench/backend. What is set by the environment:
//
//   URL         the proxy (required)
//   SOCKETS     sockets in all (1000)
//   PER_VU      sockets of one virtual user (100)
//   OPEN        seconds over which they are opened (5)
//   HOLD        seconds that they are held from then on (30)
//   PING        seconds between two pings of a socket (15)
//
// Every ping must be answered, no socket may end by itself, and all must be closed in
// order at the end; the thresholds say so. k6 needs some 80 KB of memory for a socket,
// and as many open files as there are sockets; for more than some thousands use
// bench/hold.
import { Counter, Trend } from 'k6/metrics';
import { WebSocket } from 'k6/websockets';
import { setInterval, clearInterval, setTimeout } from 'k6/timers';

if (!__ENV.URL) {
  throw new Error('set URL to the proxy, such as URL=ws://127.0.0.1:8080/');
}
const url = __ENV.URL.replace(/^http/, 'ws');
const sockets = Number(__ENV.SOCKETS || 1000);
const perVU = Math.min(sockets, Number(__ENV.PER_VU || 100));
const openTime = 1000 * Number(__ENV.OPEN || 5);
const holdTime = 1000 * Number(__ENV.HOLD || 30);
const pingTime = 1000 * Number(__ENV.PING || 15);
const users = Math.ceil(sockets / perVU);

const opened = new Counter('sockets_opened');
const held = new Counter('sockets_held_to_the_end');
const lost = new Counter('sockets_lost');
const pings = new Counter('pings_sent');
const pongs = new Counter('pongs_received');
const unanswered = new Counter('pings_unanswered');
const pongTime = new Trend('pong_time', true);

export const options = {
  scenarios: {
    hold: {
      executor: 'per-vu-iterations',
      vus: users,
      iterations: 1,
      maxDuration: openTime + holdTime + 60000 + 'ms',
    },
  },
  thresholds: {
    sockets_lost: ['count==0'],
    pings_unanswered: ['count==0'],
    sockets_opened: ['count==' + sockets],
    sockets_held_to_the_end: ['count==' + sockets],
  },
};

export default function () {
  const start = Date.now();
  const mine = Math.min(perVU, sockets - (__VU - 1) * perVU);
  for (let i = 0; i < mine; i++) {
    // Opened evenly over the time, the users taking turns.
    setTimeout(() => hold(start + openTime + holdTime), (openTime * (i + (__VU - 1) / users)) / perVU);
  }
}

// hold opens a socket and keeps it until a time, in milliseconds.
function hold(until) {
  const ws = new WebSocket(url);
  let asked = 0; // when the ping was sent that is not answered; 0: none is out
  let ending = false;
  let timer = null;

  function ask() {
    if (asked) {
      unanswered.add(1);
    }
    asked = Date.now();
    pings.add(1);
    ws.ping();
  }
  ws.onopen = () => {
    opened.add(1);
    // Not all at once: each socket starts its rhythm somewhere within the first one.
    setTimeout(() => {
      if (!ending) {
        ask();
        timer = setInterval(ask, pingTime);
      }
    }, Math.random() * Math.min(pingTime, holdTime / 2));
    setTimeout(() => {
      if (asked && Date.now() - asked > 10000) {
        unanswered.add(1);
      }
      ending = true;
      if (timer !== null) {
        clearInterval(timer);
      }
      ws.close();
    }, until - Date.now());
  };
  ws.onpong = () => {
    pongs.add(1);
    pongTime.add(Date.now() - asked);
    asked = 0;
  };
  ws.onerror = (event) => {
    if (!ending) {
      console.error('socket: ' + event.error);
    }
  };
  ws.onclose = () => {
    if (ending) {
      held.add(1);
      return;
    }
    lost.add(1);
    ending = true;
    if (timer !== null) {
      clearInterval(timer);
    }
  };
}
