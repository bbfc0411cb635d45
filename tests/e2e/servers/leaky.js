#!/usr/bin/env node
// SPDX-License-Identifier: Apache-2.0
// The same small service as leaky.py, in Node: healthy, or with LEAK=1 leaking per request.
//
// PORT    to listen on (0: a free one; the port in use is printed)
// LEAK=1  keep the result of every search in an array that nobody empties
// KIB     how much one search needs, in KiB (default 256)
//
// Healthy, V8 still grows at first: it collects late, once its young generation and its limits of
// external memory say so. That growth levels off, the leak's does not. Buffers live outside V8's
// heap, so that no --max-old-space-size ends the process before its container's limit does.
'use strict';

const http = require('http');

const leak = process.env.LEAK === '1';
const kib = Number(process.env.KIB || 256);
const recentSearches = [];
let requests = 0;

function search(number) {
  const result = Buffer.alloc(kib * 1024);
  for (let i = 0; i < result.length; i += 1024) {
    result.fill((number + i) % 255 + 1, i, i + 1024);
    result.writeDoubleLE(number * kib * 1024 + i, i);
  }
  return result;
}

const server = http.createServer((request, response) => {
  request.resume();
  if (request.url === '/health') {
    response.end('ok\n');
    return;
  }
  const result = search(++requests);
  if (leak) recentSearches.push(result);
  response.end(`${result.length}\n`);
});

// As PID 1 of a container a process without a handler never hears SIGTERM.
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));

server.keepAliveTimeout = 0;
server.listen(Number(process.env.PORT || 8000), '127.0.0.1', 512, () => {
  console.log(`listening on ${server.address().port}`);
});
