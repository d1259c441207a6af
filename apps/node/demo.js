// Timers, promises, files, buffers, workers, crypto, streams: printed in an order that Linux gives always.
'use strict';
const assert = require('assert');
const crypto = require('crypto');
const events = require('events');
const fs = require('fs');
const os = require('os');
const path = require('path');
const util = require('util');
const zlib = require('zlib');
const { Worker, isMainThread, parentPort, workerData, MessageChannel } = require('worker_threads');
const { pipeline, Readable, Transform } = require('stream');
const { performance } = require('perf_hooks');

const sleep = util.promisify(setTimeout);

async function timers() {
  const order = [];
  await new Promise(setImmediate);
  process.nextTick(() => order.push('tick'));
  Promise.resolve().then(() => order.push('micro'));
  await Promise.all([sleep(900).then(() => order.push('third')), sleep(5).then(() => order.push('first')), sleep(450).then(() => order.push('second'))]);
  let n = 0;
  await new Promise(done => { const i = setInterval(() => { if (++n === 5) { clearInterval(i); done(); } }, 2); });
  const start = performance.now();
  await sleep(50);
  const took = performance.now() - start;
  assert(took >= 49, `a timer fired early: ${took}`);
  const cancelled = setTimeout(() => order.push('never'), 1);
  clearTimeout(cancelled);
  await sleep(5);
  console.log('timers', order.join(' '), n);
}

async function promises() {
  const settled = await Promise.allSettled([1, Promise.reject(new Error('no')), sleep(1).then(() => 3)]);
  console.log('promises', settled.map(s => s.status === 'fulfilled' ? s.value : s.reason.message).join(' '));
  const race = await Promise.race([sleep(200).then(() => 'slow'), sleep(1).then(() => 'fast')]);
  async function* count() { for (let i = 0; i < 4; i++) { await sleep(1); yield i; } }
  let sum = 0;
  for await (const i of count()) sum += i;
  console.log('promises', race, sum);
}

async function files() {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'skiff-node-'));
  const file = path.join(dir, 'a.txt');
  fs.writeFileSync(file, 'line\n'.repeat(10000));
  await fs.promises.appendFile(file, 'end\n');
  const stat = await fs.promises.stat(file);
  console.log('files', stat.size, stat.isFile(), stat.mode.toString(8));
  const handle = await fs.promises.open(file, 'r+');
  const { bytesRead, buffer } = await handle.read(Buffer.alloc(9), 0, 9, 49995);
  await handle.write('LINE', 0);
  await handle.truncate(20);
  await handle.sync();
  await handle.close();
  console.log('files', bytesRead, JSON.stringify(buffer.toString()), JSON.stringify(fs.readFileSync(file, 'utf8')));
  await fs.promises.mkdir(path.join(dir, 'x/y/z'), { recursive: true });
  await fs.promises.rename(file, path.join(dir, 'x/b.txt'));
  fs.symlinkSync('b.txt', path.join(dir, 'x/link'));
  fs.copyFileSync(path.join(dir, 'x/b.txt'), path.join(dir, 'x/y/c.txt'));
  const names = [];
  for (const e of fs.readdirSync(path.join(dir, 'x'), { withFileTypes: true })) names.push(e.name + (e.isDirectory() ? '/' : e.isSymbolicLink() ? '@' : ''));
  console.log('files', names.sort().join(' '), fs.realpathSync(path.join(dir, 'x/link')) === path.join(dir, 'x/b.txt'));
  for (const bad of [() => fs.readFileSync(path.join(dir, 'none')), () => fs.mkdirSync(dir), () => fs.rmdirSync(dir), () => fs.readFileSync(dir)]) {
    try { bad(); console.log('no error'); } catch (e) { console.log('files', e.code, e.syscall); }
  }
  await new Promise((done, fail) => pipeline(
    Readable.from((function* () { for (let i = 0; i < 2000; i++) yield `${i}\n`; })()),
    new Transform({ transform(chunk, _, next) { next(null, chunk.toString().replace('9', 'nine')); } }),
    fs.createWriteStream(path.join(dir, 'stream')), e => e ? fail(e) : done()));
  let lines = 0, bytes = 0;
  for await (const chunk of fs.createReadStream(path.join(dir, 'stream'), { highWaterMark: 777 })) { bytes += chunk.length; lines += chunk.toString().split('\n').length - 1; }
  console.log('files', lines, bytes);
  fs.rmSync(dir, { recursive: true });
  console.log('files', fs.existsSync(dir));
}

function buffers() {
  const b = Buffer.alloc(32);
  b.writeDoubleBE(Math.PI, 0); b.writeInt32LE(-5, 8); b.writeBigUInt64LE(2n ** 63n, 12); b.write('héllo', 20);
  console.log('buffers', b.toString('hex'), b.toString('base64url'));
  const big = Buffer.alloc(8 << 20, 'abc');
  console.log('buffers', crypto.createHash('sha256').update(big).digest('hex'));
  console.log('buffers', zlib.gunzipSync(zlib.gzipSync(big)).equals(big), zlib.brotliDecompressSync(zlib.brotliCompressSync('brotli'.repeat(100))).length);
  console.log('buffers', JSON.stringify(JSON.parse('{"a":[1,2.5e10,"\\u20ac",null,true],"b":{"c":{}}}')), structuredClone(new Map([[1, { a: new Date(0) }]])));
}

async function secrets() {
  console.log('crypto', crypto.createHmac('sha512', 'key').update('data').digest('base64'));
  console.log('crypto', crypto.scryptSync('pw', 'salt', 32, { N: 1024 }).toString('hex'));
  const key = Buffer.alloc(32, 1), iv = Buffer.alloc(12, 2);
  const c = crypto.createCipheriv('aes-256-gcm', key, iv);
  console.log('crypto', Buffer.concat([c.update('secret'), c.final(), c.getAuthTag()]).toString('hex'));
  const pair = await util.promisify(crypto.generateKeyPair)('ec', { namedCurve: 'P-256' });
  console.log('crypto', crypto.verify('sha256', Buffer.from('m'), pair.publicKey, crypto.sign('sha256', Buffer.from('m'), pair.privateKey)));
  const rounds = await Promise.all([1, 2, 3, 4, 5, 6].map(i => util.promisify(crypto.pbkdf2)('pw' + i, 's', 2000, 16, 'sha1')));
  console.log('crypto', rounds.map(r => r.toString('hex')).join(' '), new Set(Array.from({ length: 100 }, () => crypto.randomUUID())).size);
}

async function workers() {
  const shared = new Int32Array(new SharedArrayBuffer(8));
  const results = await Promise.all([0, 1, 2, 3].map(id => new Promise((done, fail) => {
    const w = new Worker(__filename, { workerData: { id, shared } });
    w.on('message', done).on('error', fail);
  })));
  console.log('workers', results.join(' '), Atomics.load(shared, 0));
  const failed = await new Promise(done => new Worker('throw new TypeError("in a worker")', { eval: true }).on('error', done));
  console.log('workers', failed.name, failed.message);
  const code = await new Promise(done => new Worker('process.exit(9)', { eval: true }).on('exit', done));
  const hung = new Worker('for (;;);', { eval: true });
  await events.once(hung, 'online');
  console.log('workers', code, await hung.terminate());
  const { port1, port2 } = new MessageChannel();
  port2.on('message', m => { port2.postMessage(m.map(x => x * 2)); });
  const answer = events.once(port1, 'message');
  port1.postMessage([1, 2, 3]);
  console.log('workers', (await answer)[0]);
  port1.close();
}

function jit() {
  function fib(n) { return n < 2 ? n : fib(n - 1) + fib(n - 2); }
  const a = new Float64Array(1000).map((_, i) => Math.sin(i));
  let s = 0;
  for (let r = 0; r < 300; r++) for (let i = 0; i < a.length; i++) s += a[i] * (r & 3);
  let objects = [];
  for (let i = 0; i < 400000; i++) { objects.push({ i, t: [i, i + 1] }); if (objects.length > 20000) objects = []; }
  console.log('jit', fib(24), s.toFixed(6), objects.length);
  const wasm = new WebAssembly.Module(Buffer.from('0061736d0100000001070160027f7f017f030201000707010361646400000a09010700200020016a0b', 'hex'));
  console.log('jit', new WebAssembly.Instance(wasm).exports.add(40, 2));
  function deep(n) { return deep(n + 1) + 1; }
  try { deep(0); } catch (e) { console.log('jit', e instanceof RangeError, e.message); }
}

async function main() {
  await timers(); await promises(); await files(); buffers(); await secrets(); await workers(); jit();
  process.on('exit', code => console.log('exit', code));
  process.stdin.on('data', d => console.log('stdin', d.toString().trim())).on('end', () => { console.error('to stderr'); process.exitCode = 3; });
}

if (isMainThread) main();
else {
  for (let i = 0; i < 10000; i++) Atomics.add(workerData.shared, 0, 1);
  parentPort.postMessage(workerData.id * 10 + crypto.createHash('md5').update('w').digest('hex').length);
}
