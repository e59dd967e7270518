'use strict';
// Runs the functions of a script as checks, and tells the result of each as a line for `run`.

const assert = require('node:assert/strict');
const { randomUUID } = require('node:crypto');

const port = Number(process.env.SHOALMQ_PORT);
const authPort = Number(process.env.SHOALMQ_AUTH_PORT);
const password = process.env.SHOALMQ_PASSWORD;

async function run(title, checks) {
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check();
      console.log(`ok ${title}: ${name}`);
    } catch (error) {
      const reason = String(error.stack || error).replaceAll('\n', '\n    ');
      console.log(`not ok ${title}: ${name}\n    ${reason}`);
    }
  }
}

// What a map holds, whichever way a library tells it.
function fields(told) {
  if (told instanceof Map) return Object.fromEntries(told);
  if (!Array.isArray(told)) return { ...told };
  return Object.fromEntries(told.flatMap((key, n) => (n % 2 ? [] : [[key, told[n + 1]]])));
}

// All that can happen to a job, from its add to its result.
async function wholeLife(call) {
  const options = ['PRIORITY', 7, 'MAXDELIVER', 5, 'DEAD', 'grave', 'BACKOFF', 1, 60, 'KEEP', 60, 'META', 'a', 'b'];
  const job = await call('ADDJOB', 'life', 'body', 0, ...options);
  assert.equal(await call('PROMOTE', job, 9), 1);
  const [[, , , , meta]] = await call('GETJOB', 'WITHMETA', 'FROM', 'life');
  assert.deepEqual(fields(meta), { a: 'b', 'shoal.deliveries': 1 });
  assert.equal(await call('WORKING', job, 'PROGRESS', 'half'), 300);
  assert.deepEqual(await call('WAITJOB', 'TIMEOUT', 1, job), [[job, 'pending', 'half']]);
  const out = fields(await call('EXPLAIN', job));
  assert.deepEqual([out.id, out.queue, out.state, out.progress, out.missing], [job, 'life', 'active', 'half', []]);
  const copies = out.copies.map(fields);
  assert.deepEqual(copies.map((copy) => [copy.state, copy.turn, copy.next]), [['active', 1, 'retry']]);
  assert.ok(fields(out['held-by']).client > 0 && out.why.includes('unless it is acknowledged'));
  assert.deepEqual(out.events.map((event) => event[2]).slice(0, 4), ['added', 'queued', 'promoted', 'handed out']);
  assert.equal(await call('NACK', job, 'DEAD', 'REASON', 'why'), 1);
  const [[, outcome, dead]] = await call('WAITJOB', job);
  assert.deepEqual([outcome, fields(dead)['shoal.dead.text']], ['dead', 'why']);
  const [[, , , , peeked]] = await call('QPEEK', 'grave', 1, 'WITHMETA');
  assert.equal(fields(peeked)['shoal.dead.from'], 'life');
  const [queues, missing] = await call('QLIST', 'MATCH', 'grave');
  assert.deepEqual([queues.map((queue) => fields(queue).dead), missing], [[1], []]);
  assert.equal(await call('REDRIVE', 'grave'), 1);
  assert.equal(await call('ACKJOB', job, 'RESULT', '42'), 1);
  assert.deepEqual(await call('WAITJOB', job), [[job, 'acked', '42']]);
  assert.equal(fields(await call('EXPLAIN', job)).state, 'acked');
  const other = await call('ADDJOB', 'life', 'body', 0);
  assert.equal(await call('DELJOB', other, 'GLOBAL'), 1);
  assert.deepEqual(await call('WAITJOB', other), [[other, 'deleted', null]]);
}

// A key makes one job of two adds, and a receipt tells who has it.
async function jobWithAKey(call) {
  const add = (...options) => call('ADDJOB', 'keyed', 'body', 0, ...options);
  // Other clients do the same at this server.
  const key = randomUUID();
  const job = await add('DEDUP', key, 'WINDOW', 3600);
  assert.equal(await add('DEDUP', key), job);
  const existing = fields(await add('DEDUP', key, 'RECEIPT'));
  assert.deepEqual(existing, { id: job, existing: 1, copies: 0, 'on-disk': 0, zones: 0 });
  const fresh = fields(await add('RECEIPT'));
  assert.deepEqual([fresh.existing, fresh.copies, fresh.zones], [0, 1, 1]);
  assert.equal(await call('ACKJOB', job, fresh.id), 2);
  assert.equal(await add('DEDUP', key), job);
}

module.exports = { authPort, jobWithAKey, password, port, run, wholeLife };
