'use strict';
// A producer and a worker with node-redis: npm install redis
//
//     node examples/worker.js 127.0.0.1:7711 produce 'a body' 'another body'
//     node examples/worker.js 127.0.0.1:7711 work        # until it is stopped
//     node examples/worker.js 127.0.0.1:7711 work 10     # ten jobs

const { createClient } = require('redis');

// Your work. An exception gives the job back at once; a crash gives it back when its RETRY has passed.
async function handle(body) {
  console.log('worked on', body);
}

async function produce(client, bodies) {
  for (const body of bodies) {
    // Wait at most 5 s for the copies; deliver again after 60 s without an acknowledgement.
    const job = await client.sendCommand(['ADDJOB', 'node-jobs', body, '5000', 'RETRY', '60']);
    console.log('added', job, body);
  }
}

async function work(client, count) {
  while (count > 0) {
    const jobs = await client.sendCommand(['GETJOB', 'TIMEOUT', '2000', 'FROM', 'node-jobs']);
    for (const [, job, body] of jobs ?? []) {
      try {
        await handle(body);
      } catch (error) {
        console.error('failed:', error);
        await client.sendCommand(['NACK', job]);
        continue;
      }
      await client.sendCommand(['ACKJOB', job]);
      count -= 1;
    }
  }
}

async function main([address, action, ...rest]) {
  const client = createClient({ url: `redis://${address}` });
  client.on('error', (error) => console.error('connection:', error.message));
  await client.connect();
  await (action === 'produce' ? produce(client, rest) : work(client, Number(rest[0] ?? Infinity)));
  await client.close();
}

main(process.argv.slice(2));
