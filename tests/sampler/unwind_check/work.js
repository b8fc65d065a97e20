// Some of what a Node.js server does, for as many seconds as the argument says: HTTP, JSON, compression, hashes, files,
// regular expressions, timers, a worker thread.
'use strict';
const crypto = require('crypto');
const fs = require('fs');
const http = require('http');
const zlib = require('zlib');
const {Worker, isMainThread} = require('worker_threads');

const seconds = Number(process.argv[2] || 2);
const end = Date.now() + seconds * 1000;

function work(round) {
  const rows = Array.from({length: 200}, (_, i) => ({id: i ^ round, name: 'row ' + i, tags: ['a', 'b', String(i)]}));
  const text = JSON.stringify(rows);
  const parsed = JSON.parse(text).sort((a, b) => a.id - b.id);
  const packed = zlib.deflateSync(text);
  const sum = crypto.createHash('sha256').update(packed).digest('hex');
  return parsed.filter(row => /row \d*7/.test(row.name)).map(row => row.name).join() + sum + fs.statSync(__filename).size;
}

if (!isMainThread) {
  for (let round = 0; Date.now() < end; ++round) work(round);
} else {
  new Worker(__filename, {argv: [String(seconds / 2)]});
  let round = 0;
  const server = http.createServer((request, response) => {
    response.setHeader('content-type', 'text/plain');
    response.end(work(round++));
  });
  server.keepAliveTimeout = 60_000;  // a machine under load may pause for longer than the default
  server.listen(0, '127.0.0.1', () => {
    const agent = new http.Agent({keepAlive: true, maxSockets: 4});
    let clients = 4;
    const ask = () => {
      if (Date.now() > end) {
        if (--clients === 0) {
          agent.destroy();
          server.close();
        }
        return;
      }
      http.get({port: server.address().port, host: '127.0.0.1', agent}, response => {
        response.resume();
        response.on('end', () => setImmediate(ask));
      });
    };
    for (let i = clients; i > 0; --i) ask();
  });
}
