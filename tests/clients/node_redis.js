'use strict';
// npm's redis, in both protocols.

const assert = require('node:assert/strict');
const { createClient } = require('redis');
const { authPort, jobWithAKey, password, port, run, wholeLife } = require('./checks.js');

async function connect(RESP, options = {}) {
  const client = createClient({ RESP, socket: { host: '127.0.0.1', port }, ...options });
  client.on('error', () => {});
  await client.connect();
  return client;
}

async function checks(RESP) {
  const client = await connect(RESP);
  const call = (...words) => client.sendCommand(words.map(String));
  await call('DEBUG', 'FLUSHALL');
  await run(`node-redis, RESP${RESP}`, {
    'add, get, ack': async () => {
      const job = await call('ADDJOB', 'q', 'a body', 0, 'RETRY', 60);
      assert.equal(job.length, 40);
      assert.deepEqual(await call('GETJOB', 'FROM', 'q'), [['q', job, 'a body']]);
      assert.equal(await call('ACKJOB', job), 1);
      assert.equal(await call('SHOW', job), null);
    },
    'a whole life': () => wholeLife(call),
    'a job with a key': () => jobWithAKey(call),
    'nothing to get is null': async () => {
      assert.equal(await call('GETJOB', 'NOHANG', 'FROM', 'empty'), null);
      assert.equal(await call('GETJOB', 'TIMEOUT', 5, 'FROM', 'empty'), null);
      assert.equal(await call('QSTAT', 'unknown'), null);
    },
    'nack and working': async () => {
      const job = await call('ADDJOB', 'q', 'body', 0, 'RETRY', 60);
      await call('GETJOB', 'FROM', 'q');
      assert.equal(await call('WORKING', job), 60);
      assert.equal(await call('NACK', job), 1);
      const [again] = await call('GETJOB', 'WITHCOUNTERS', 'FROM', 'q');
      assert.deepEqual(again, ['q', job, 'body', 'nacks', 1, 'additional-deliveries', 0]);
      assert.equal(await call('ACKJOB', job), 1);
    },
    'blocking get': async () => {
      const waiting = await connect(RESP);
      const found = waiting.sendCommand(['GETJOB', 'TIMEOUT', '10000', 'FROM', 'wait']);
      while (!(await client.info('clients')).includes('blocked_clients:1'));
      const job = await call('ADDJOB', 'wait', 'body', 0);
      assert.deepEqual(await found, [['wait', job, 'body']]);
      assert.equal(await call('ACKJOB', job), 1);
      await waiting.close();
    },
    scans: async () => {
      const jobs = new Set();
      for (let n = 0; n < 30; n += 1) jobs.add(await call('ADDJOB', `scan-${n % 3}`, 'body', 0));
      const [, queues] = await call('QSCAN', 'COUNT', 1000, 0);
      for (const queue of ['scan-0', 'scan-1', 'scan-2']) assert.ok(queues.includes(queue));
      const found = new Set();
      let cursor = '0';
      do {
        const [next, page] = await call('JSCAN', cursor, 'COUNT', 7);
        page.forEach((job) => found.add(job));
        cursor = next;
      } while (cursor !== '0');
      for (const job of jobs) assert.ok(found.has(job));
      assert.equal(await call('ACKJOB', ...jobs), 30);
    },
    'many commands at once keep their order': async () => {
      const jobs = await Promise.all(Array.from({ length: 500 }, (_, n) => call('ADDJOB', 'pipe', n, 0)));
      const taken = await call('GETJOB', 'COUNT', 500, 'FROM', 'pipe');
      assert.deepEqual(taken.map(([, id]) => id), jobs);
      assert.equal(await call('ACKJOB', ...jobs), 500);
    },
    'errors keep their code': async () => {
      await assert.rejects(call('SHOW', 'x'), /^(\w+: )?BADID Invalid Job ID format\.$|BADID Invalid Job ID format\./);
      assert.equal(await client.ping(), 'PONG');
    },
    helpers: async () => {
      assert.equal(await client.echo('hi'), 'hi');
      assert.equal((await client.configGet('maxclients')).maxclients, '10000');
      assert.match(await client.info(), new RegExp(`tcp_port:${port}\r\n`));
      assert.ok((await client.clientId()) > 0);
      const [row] = await client.commandInfo(['addjob']);
      assert.deepEqual([row.name, row.arity], ['addjob', -4]);
      assert.deepEqual([...row.categories], ['@write', '@fast']);
    },
    'publish and subscribe': async () => {
      const listener = await connect(RESP);
      const told = [];
      await listener.subscribe('js.news', (body, channel) => told.push(['news', channel, body]));
      await listener.pSubscribe('js.*', (body, channel) => told.push(['pattern', channel, body]));
      assert.equal(await client.publish('js.news', 'one'), 2);
      assert.equal(await client.publish('js.other', 'two'), 1);
      assert.equal(await client.publish('unheard', 'x'), 0);
      assert.match(String(await listener.ping()), /^pong$/i);
      const expected = [['news', 'js.news', 'one'], ['pattern', 'js.news', 'one'], ['pattern', 'js.other', 'two']];
      assert.deepEqual(told, expected);
      assert.deepEqual(await client.pubSubChannels('js.*'), ['js.news']);
      assert.deepEqual({ ...(await client.pubSubNumSub(['js.news', 'x'])) }, { 'js.news': 1, x: 0 });
      assert.equal(await client.pubSubNumPat(), 1);
      await listener.unsubscribe('js.news');
      assert.equal(await client.publish('js.news', 'three'), 1);
      await listener.pUnsubscribe();
      assert.equal(await client.publish('js.news', 'four'), 0);
      assert.deepEqual(told.slice(3), [['pattern', 'js.news', 'three']]);
      assert.equal(String(await listener.echo('free again')), 'free again');
      await listener.close();
    },
    'messages come in order': async () => {
      const listener = await connect(RESP);
      const told = [];
      await new Promise((resolve, reject) => {
        listener
          .pSubscribe('order.*', (body) => {
            if (told.push(Number(body)) === 500) resolve();
          })
          .then(() => Promise.all(Array.from({ length: 500 }, (_, n) => client.publish(`order.${n % 3}`, `${n}`))))
          .catch(reject);
      });
      assert.deepEqual(told, Array.from({ length: 500 }, (_, n) => n));
      await listener.close();
    },
    'a password': async () => {
      for (const username of [undefined, 'default']) {
        const known = await connect(RESP, { socket: { host: '127.0.0.1', port: authPort }, username, password });
        assert.equal(await known.ping(), 'PONG');
        await known.close();
      }
      const socket = { host: '127.0.0.1', port: authPort, reconnectStrategy: false };
      await assert.rejects(connect(RESP, { socket, password: 'wrong' }), /WRONGPASS /);
      await assert.rejects(connect(RESP, { socket, username: 'bob', password }), /WRONGPASS /);
    },
    'a name and a database': async () => {
      const named = await connect(RESP, { name: 'a-name', database: 0 });
      assert.equal(await named.clientGetName(), 'a-name');
      await named.close();
    },
  });
  await client.close();
}

checks(2).then(() => checks(3));
