// node_server.js PORT TRUTH WHAT: an HTTP server with a known fault, or none. WHAT:
//   closures   each request leaves a closure over a text of its own in an array: V8's heap grows
//   buffers    each request leaves a buffer in a map: native memory grows
//   churn      each request makes and drops as much: V8 warms up and collects
// When it is ended it writes to the file TRUTH how many bytes it kept, and of how many requests.
'use strict';
const fs = require('fs');
const http = require('http');

const [port, truth, what] = process.argv.slice(2);
const kept = [];
const byRequest = new Map();
let requests = 0;
let bytes = 0;

function text() {
  return JSON.stringify({ request: requests, words: Array.from({ length: 220 }, (_, i) => (requests * 31 + i) % 99991) });
}

const handlers = {
  keepClosure() {
    const answer = text();
    bytes += answer.length;
    kept.push(() => answer.length);
    return answer.slice(0, 20);
  },
  keepBuffer() {
    const buffer = Buffer.allocUnsafeSlow(4096).fill(requests & 255);
    byRequest.set(requests, buffer);
    bytes += buffer.length;
    return 'kept';
  },
  churn() {
    return String(JSON.parse(text()).words.map((word) => ({ word, twice: 2 * word })).length);
  },
};
const handle = { closures: handlers.keepClosure, buffers: handlers.keepBuffer, churn: handlers.churn }[what];

http.createServer((request, response) => {
  requests += 1;
  response.end(handle());
}).listen(Number(port), '127.0.0.1');
process.on('SIGTERM', () => {
  fs.writeFileSync(truth, JSON.stringify({ bytes, requests }));
  process.exit(0);
});
