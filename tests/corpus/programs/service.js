// SPDX-License-Identifier: Apache-2.0
// A small HTTP service whose memory behaves as SHAPE says: the Node programs of the corpus.
'use strict';
const http = require('node:http');
const { EventEmitter } = require('node:events');
const crypto = require('node:crypto');

const parameter = (name, fallback) => Number(process.env[name] ?? fallback);
const SIZE = parameter('SIZE', 65536);
const COUNT = parameter('COUNT', 256);
const EVERY = parameter('EVERY', 60);

// Objects on V8's heap, about `bytes` of them.
function objects(bytes, seed) {
  const list = [];
  for (let i = 0; i < bytes / 64; i++) list.push({ id: seed * 1000003 + i, value: i * 1.5, next: null });
  return list;
}

// What every request throws away: it makes the collector run.
function garbage() {
  return objects(parameter('GARBAGE', 131072), 7).length;
}

const shapes = {
  // A listener for each request on an emitter that lives for ever.
  'node-listeners': () => {
    const bus = new EventEmitter();
    bus.setMaxListeners(0);
    return (number) => {
      const page = objects(SIZE, number);
      bus.on('refresh', () => page.length);
    };
  },
  // A timer for each request that is never cleared.
  'node-timers': () => (number) => {
    const poll = objects(SIZE, number);
    setInterval(() => poll.length, 60000);
  },
  // A map by request id. Slow, under the sawtooth of the collector.
  'node-map': () => {
    const seen = new Map();
    return (number) => {
      garbage();
      seen.set(`request-${number}`, objects(SIZE, number));
    };
  },
  // Buffers outside of V8's heap.
  'node-buffers': () => {
    const frames = [];
    return () => void frames.push(Buffer.alloc(SIZE, 0x5a));
  },
  // Promises that never settle hold what awaits them.
  'node-promises': () => {
    const waiting = new Set();
    return (number) => {
      const page = objects(SIZE, number);
      const never = new Promise((resolve) => waiting.add(resolve));
      (async () => {
        await never;
        return page.length;
      })();
    };
  },
  // Clocked: a metric sample every so often, kept for ever.
  'node-poller': () => {
    const samples = [];
    let number = 0;
    const start = Date.now(); // by the clock: a timer of Node's alone runs late
    setInterval(() => {
      while (number < (Date.now() - start) / parameter('TICK_MS', 50)) samples.push(objects(SIZE, number++));
    }, 10);
    return () => garbage();
  },
  // It leaks until V8's own limit ends it.
  'node-heap-limit': () => {
    const kept = [];
    return (number) => void kept.push(objects(SIZE, number));
  },
  // A cache by a key that a client chooses: strings.
  'node-strings': () => {
    const cache = Object.create(null);
    return (number) => {
      garbage();
      cache[`/page?visitor=${number}`] = crypto.randomBytes(SIZE / 2).toString('hex');
    };
  },
  // Innocent from here on. Garbage, and nothing kept.
  'node-garbage': () => () => void objects(SIZE, 3),
  // Many functions get hot one after the other.
  'node-warm-up': () => {
    const functions = [];
    for (let i = 0; i < 400; i++)
      functions.push(new Function('n', `let s = ${i}; for (let k = 0; k < n; k++) s = (s * 31 + k) % ${i + 7919}; return s;`));
    return (number) => {
      const at = Math.min(functions.length, number);
      for (let i = 0; i < at; i += 4) functions[i](400);
      objects(SIZE, number);
    };
  },
  // A cache with a limit.
  'node-lru': () => {
    const cache = new Map();
    return (number) => {
      const key = (number * 7919) % parameter('KEYS', 1000);
      if (cache.has(key)) return;
      cache.set(key, Buffer.alloc(SIZE, 0x5a));
      if (cache.size > COUNT) cache.delete(cache.keys().next().value);
    };
  },
  // An exception that nobody catches.
  'node-throws': () => (number) => {
    objects(SIZE, number);
    if (number % EVERY === 0) setImmediate(() => { throw new Error('unexpected end of input'); });
  },
  // A big answer now and then: more than there is.
  'node-peak': () => (number) => {
    if (number % EVERY !== 0) return;
    const parts = [];
    const end = Date.now() + parameter('MS', 80);
    for (let i = 0; i < 32; i++) {
      parts.push(Buffer.alloc(SIZE / 32, 0x5a));
      while (Date.now() < end - parameter('MS', 80) * (31 - i) / 32);
    }
    if (Buffer.concat(parts.map((part) => part.subarray(0, 1))).length === 0) throw new Error();
  },
};

const serve = shapes[process.env.SHAPE]();
let number = 0;
const server = http.createServer((request, response) => {
  if (request.url === '/collect') {
    if (global.gc) global.gc();
  } else if (request.url !== '/health') {
    serve(++number);
  }
  response.end('ok\n');
});
server.keepAliveTimeout = 120000;
process.on('SIGTERM', () => process.exit(0));
server.listen(parameter('PORT', 8080));
