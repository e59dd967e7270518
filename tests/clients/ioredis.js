'use strict';
// npm's ioredis, in both protocols.

const assert = require('node:assert/strict');
const { Redis } = require('ioredis');
const { authPort, jobWithAKey, password, port, run, wholeLife } = require('./checks.js');

async function checks(protocol) {
  const client = new Redis({ host: '127.0.0.1', port, protocol });
  await client.call('DEBUG', 'FLUSHALL');
  await run(`ioredis, RESP${protocol}`, {
    'is ready after its own check': async () => {
      assert.equal(await client.ping(), 'PONG');
      assert.equal(client.status, 'ready');
    },
    'add, get, ack': async () => {
      const job = await client.call('ADDJOB', 'q', 'a body', 0, 'RETRY', 60);
      assert.equal(job.length, 40);
      assert.deepEqual(await client.call('GETJOB', 'FROM', 'q'), [['q', job, 'a body']]);
      assert.equal(await client.call('ACKJOB', job), 1);
      assert.equal(await client.call('SHOW', job), null);
    },
    'bodies are bytes': async () => {
      const body = Buffer.from([0, 255, 13, 10]);
      const job = await client.call('ADDJOB', 'q', body, 0);
      const [[, , found]] = await client.callBuffer('GETJOB', 'FROM', 'q');
      assert.deepEqual(found, body);
      assert.equal(await client.call('ACKJOB', job), 1);
    },
    'nack and working': async () => {
      const job = await client.call('ADDJOB', 'q', 'body', 0, 'RETRY', 60);
      await client.call('GETJOB', 'FROM', 'q');
      assert.equal(await client.call('WORKING', job), 60);
      assert.equal(await client.call('NACK', job), 1);
      const [again] = await client.call('GETJOB', 'WITHCOUNTERS', 'FROM', 'q');
      assert.deepEqual(again, ['q', job, 'body', 'nacks', 1, 'additional-deliveries', 0]);
      assert.equal(await client.call('ACKJOB', job), 1);
    },
    'a whole life': () => wholeLife((...words) => client.call(...words)),
    'a job with a key': () => jobWithAKey((...words) => client.call(...words)),
    'nothing to get is null': async () => {
      assert.equal(await client.call('GETJOB', 'NOHANG', 'FROM', 'empty'), null);
      assert.equal(await client.call('GETJOB', 'TIMEOUT', 5, 'FROM', 'empty'), null);
    },
    'blocking get': async () => {
      const waiting = client.duplicate();
      const found = waiting.call('GETJOB', 'FROM', 'wait');
      while (!(await client.info('clients')).includes('blocked_clients:1'));
      const job = await client.call('ADDJOB', 'wait', 'body', 0);
      assert.deepEqual(await found, [['wait', job, 'body']]);
      assert.equal(await client.call('ACKJOB', job), 1);
      waiting.disconnect();
    },
    pipelines: async () => {
      const pipeline = client.pipeline();
      for (let n = 0; n < 500; n += 1) pipeline.call('ADDJOB', 'pipe', n, 0);
      const jobs = (await pipeline.exec()).map(([error, job]) => {
        assert.equal(error, null);
        return job;
      });
      const taken = await client.call('GETJOB', 'COUNT', 500, 'FROM', 'pipe');
      assert.deepEqual(taken.map(([, id]) => id), jobs);
      assert.equal(await client.call('ACKJOB', ...jobs), 500);
    },
    scans: async () => {
      const job = await client.call('ADDJOB', 'scan', 'body', 0);
      const [cursor, jobs] = await client.call('JSCAN', 'BUSYLOOP', 'QUEUE', 'scan');
      assert.deepEqual([cursor, jobs], ['0', [job]]);
      const [, queues] = await client.call('QSCAN', 0, 'COUNT', 1000);
      assert.ok(queues.includes('scan'));
      assert.equal(await client.call('ACKJOB', job), 1);
    },
    'errors keep their code': async () => {
      await assert.rejects(client.call('SHOW', 'x'), /BADID Invalid Job ID format\./);
    },
    'publish and subscribe': async () => {
      const listener = client.duplicate();
      const told = [];
      listener.on('message', (channel, body) => told.push(['news', channel, body]));
      listener.on('pmessage', (pattern, channel, body) => told.push([pattern, channel, body]));
      assert.equal(await listener.subscribe('io.news', 'io.old'), 2);
      assert.equal(await listener.psubscribe('io.*'), 3);
      assert.equal(await client.publish('io.news', 'one'), 2);
      assert.equal(await client.publish('io.other', 'two'), 1);
      assert.equal(await client.publish('unheard', 'x'), 0);
      assert.deepEqual(await client.pubsub('CHANNELS', 'io.*'), ['io.news', 'io.old']);
      assert.deepEqual(await client.pubsub('NUMSUB', 'io.news', 'x'), ['io.news', 1, 'x', 0]);
      assert.equal(await client.pubsub('NUMPAT'), 1);
      assert.equal(await listener.unsubscribe('io.news'), 2);
      assert.equal(await client.publish('io.news', 'three'), 1);
      // Without names ioredis waits until nothing at all is subscribed to.
      assert.equal(await listener.unsubscribe('io.old'), 1);
      assert.equal(await listener.punsubscribe(), 0);
      assert.equal(await client.publish('io.news', 'four'), 0);
      const expected = [['news', 'io.news', 'one'], ['io.*', 'io.news', 'one'], ['io.*', 'io.other', 'two']];
      assert.deepEqual(told, [...expected, ['io.*', 'io.news', 'three']]);
      assert.equal(await listener.echo('free again'), 'free again');
      listener.disconnect();
    },
    'messages come in order': async () => {
      const listener = client.duplicate();
      const told = [];
      await listener.psubscribe('order.*');
      const all = new Promise((resolve) => {
        listener.on('pmessage', (pattern, channel, body) => {
          if (told.push(Number(body)) === 500) resolve();
        });
      });
      const pipeline = client.pipeline();
      for (let n = 0; n < 500; n += 1) pipeline.publish(`order.${n % 3}`, n);
      await pipeline.exec();
      await all;
      assert.deepEqual(told, Array.from({ length: 500 }, (_, n) => n));
      listener.disconnect();
    },
    'a name, a database, a password': async () => {
      const known = new Redis({ host: '127.0.0.1', port: authPort, protocol, password, db: 0, connectionName: 'a-name' });
      assert.equal(await known.client('GETNAME'), 'a-name');
      known.disconnect();
      const named = new Redis({ host: '127.0.0.1', port: authPort, protocol, username: 'default', password });
      assert.equal(await named.ping(), 'PONG');
      named.disconnect();
    },
  });
  client.disconnect();
}

checks(2).then(() => checks(3));
