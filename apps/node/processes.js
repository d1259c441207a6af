// Processes from Node.js.
'use strict';
const { spawn, spawnSync, exec, execFile, execSync, fork } = require('child_process');
const { promisify } = require('util');

if (process.argv[2] === 'child') {
  process.on('message', (message) => {
    process.send({ squares: message.map((n) => n * n) }, () => process.disconnect());
  });
} else {
  (async () => {
    console.log('execSync', execSync('echo hello | tr a-z A-Z').toString().trim());
    const sync = spawnSync('cat', { input: 'x'.repeat(200000) });
    console.log('spawnSync', sync.status, sync.stdout.length);
    console.log('status', spawnSync('sh', ['-c', 'exit 3']).status, spawnSync('/no/such/program').error.code);
    console.log('signal', spawnSync('sh', ['-c', 'kill -9 $$']).signal);
    console.log('timeout', spawnSync('sleep', ['10'], { timeout: 100 }).signal);
    const { stdout } = await promisify(exec)('for i in 1 2 3; do echo $i; done');
    console.log('exec', stdout.split('\n').length);
    await promisify(execFile)('sh', ['-c', 'exit 9']).catch((error) => console.log('execFile', error.code));
    await new Promise((done) => {
      const child = spawn('cat', [], { detached: true });
      let text = '';
      child.stdout.on('data', (data) => (text += data));
      child.on('close', (code) => { console.log('spawn', code, text); done(); });
      child.stdin.end('through a pipe');
    });
    await new Promise((done) => {
      const child = spawn('sleep', ['100']);
      child.on('exit', (code, signal) => { console.log('killed', code, signal); done(); });
      child.kill();
    });
    await Promise.all([1, 2, 3, 4, 5].map((n) => new Promise((done) => spawn('sh', ['-c', `exit ${n}`]).on('exit', done))))
      .then((codes) => console.log('all', codes.join(' ')));
    const child = fork(__filename, ['child']);
    child.on('message', (message) => console.log('fork', JSON.stringify(message)));
    child.on('exit', (code) => console.log('child ended', code));
    child.send([1, 2, 3]);
  })();
}
