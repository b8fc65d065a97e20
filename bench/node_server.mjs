// bench/node_server.mjs PORT: an HTTP server of the plain kind, for bench/servers.py. Parses a query, keeps a little state,
// answers JSON.
import { createServer } from 'node:http';

const seen = new Map();

createServer((request, response) => {
  const url = new URL(request.url, 'http://localhost');
  const key = `${url.pathname}?${url.searchParams.get('id') ?? seen.size % 100}`;
  seen.set(key, (seen.get(key) ?? 0) + 1);
  const body = JSON.stringify({ key, count: seen.get(key), headers: Object.keys(request.headers), at: Date.now() });
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
  response.end(body);
}).listen(Number(process.argv[2]), '127.0.0.1');

process.on('SIGTERM', () => process.exit(0));
