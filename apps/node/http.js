// A server for clients outside: pages, bodies both ways, and a request of its own.
const http = require('http');
const hash = require('crypto').createHash;
http.createServer((request, response) => {
  const url = new URL(request.url, 'http://x');
  if (url.pathname === '/sum') {
    const sum = hash('sha256');
    request.on('data', (piece) => sum.update(piece));
    request.on('end', () => response.end(sum.digest('hex') + '\n'));
  } else if (url.pathname === '/fetch') {
    http.get(url.searchParams.get('url'), (answer) => answer.pipe(response));
  } else {
    response.end('hello\n');
  }
}).listen(8000);
