'use strict';
// A producer and a worker with node-redis: npm install redis
//
//     node examples/worker.js 127.0.0.1:7711 produce 'a body' 'another body'
//     node examples/worker.js 127.0.0.1:7711 work        # until it is stopped
//     node examples/worker.js 127.0.0.1:7711 work 10     # ten jobs
//
// Both go on after a restart of the node.

const { createClient, ErrorReply } = require('redis');

// How long GETJOB waits for a job, and ADDJOB for its copies. With `socketTimeout`, which is off by default, both must
// be shorter than that.
const GETJOB_MS = '2000';
const ADDJOB_MS = '3000';

// Sends a command until it is answered: a node that stops closes the connection, and is back soon, or another is. The
// client connects again by itself, ever more slowly; commands that were under way it leaves to us. An answer may be lost
// with its connection, so that an ADDJOB is done twice. Here that is a job more, no job less.
async function call(client, ...words) {
  for (;;) {
    try {
      return await client.sendCommand(words);
    } catch (error) {
      // A node that has just started may still read its log.
      if (error instanceof ErrorReply && !error.message.startsWith('LOADING')) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

// Your work. An exception gives the job back at once; a crash gives it back when its RETRY has passed.
async function handle(body) {
  console.log('worked on', body);
}

async function produce(client, bodies) {
  for (const body of bodies) {
    // Deliver it again after 60 s without an acknowledgement.
    const job = await call(client, 'ADDJOB', 'node-jobs', body, ADDJOB_MS, 'RETRY', '60');
    console.log('added', job, body);
  }
}

async function work(client, count) {
  while (count > 0) {
    const jobs = await call(client, 'GETJOB', 'TIMEOUT', GETJOB_MS, 'FROM', 'node-jobs');
    for (const [, job, body] of jobs ?? []) {
      try {
        await handle(body);
      } catch (error) {
        console.error('failed:', error);
        await call(client, 'NACK', job);
        continue;
      }
      await call(client, 'ACKJOB', job);
      count -= 1;
    }
  }
}

async function main([address, action, ...rest]) {
  const client = createClient({ url: `redis://${address}` });
  // Without this, the process ends when the connection breaks.
  client.on('error', (error) => console.error('connection:', error.message));
  await client.connect();
  await (action === 'produce' ? produce(client, rest) : work(client, Number(rest[0] ?? Infinity)));
  await client.close();
}

main(process.argv.slice(2));
