// A producer and a worker with node-redis: npm install redis
//
//     node examples/worker.ts 127.0.0.1:7711 produce 'a body' 'another body'
//     node examples/worker.ts 127.0.0.1:7711 work        # until SIGTERM or Ctrl-C; `work 10`: ten jobs
//
// Node runs TypeScript since 22.18; for an older one, compile it. Both go on after a restart of the node of ShoalMQ.
// To try the rest: a job `sleep 90` takes 90 s, a job `fail` always fails.

import { setTimeout as sleep } from 'node:timers/promises';
import { createClient, ErrorReply } from 'redis';

// How long GETJOB waits for a job, and ADDJOB for its copies. With `socketTimeout`, which is off by default, both must
// be shorter than that.
const [GETJOB_MS, ADDJOB_MS] = ['2000', '3000'];
// Deliver a job again after 60 s without a word from its worker; after three times, put it into node-jobs.dead.
const OPTIONS = ['RETRY', '60', 'MAXDELIVER', '3', 'BACKOFF', '1', '60'];
const QUEUE = 'node-jobs';

const [address, action, ...rest] = process.argv.slice(2);
// The client connects again by itself, ever more slowly. Commands that cannot be sent, or get no answer, it leaves to us.
const client = createClient({ url: `redis://${address}`, disableOfflineQueue: true });
let stopping = false;

// Sends a command until it is answered: a node that stops closes the connection, and is back soon, or another is. An
// answer may be lost with its connection, so that an ADDJOB is done twice. Here that is a job more, no job less.
async function call<Reply>(...words: string[]): Promise<Reply | null> {
  while (!(stopping && words[0] === 'GETJOB')) { // A worker that stops asks for no more jobs.
    try {
      return await client.sendCommand<Reply>(words);
    } catch (error) {
      // A node that has just started may still read its log.
      if (error instanceof ErrorReply && !error.message.startsWith('LOADING')) throw error;
      await sleep(100);
    }
  }
  return null;
}

// Your work. An exception gives the job back; after a crash it is delivered again when its RETRY has passed.
async function handle(body: string): Promise<void> {
  if (body.startsWith('fail')) throw new Error(`cannot ${body}`);
  if (body.startsWith('sleep ')) await sleep(1000 * Number(body.split(' ')[1]));
  console.log('worked on', body);
}

// Says WORKING three times in the RETRY of a job, which is the reply in seconds, until `done`. The shortest RETRY is 1 s.
async function extend(job: string, done: Promise<unknown>): Promise<void> {
  let pause = 300;
  while (await Promise.race([done.then(() => false), sleep(pause, true, { ref: false })])) {
    pause = Math.max(((await call<number>('WORKING', job)) ?? 0) * 1000 / 3, 300);
  }
}

async function work(count: number): Promise<void> {
  while (count > 0 && !stopping) {
    const jobs = await call<[queue: string, job: string, body: string][]>('GETJOB', 'TIMEOUT', GETJOB_MS, 'FROM', QUEUE);
    for (const [, job, body] of jobs ?? []) {
      const done = handle(body).then(() => null, (error: Error) => error);
      await extend(job, done).catch((error: Error) => console.error('cannot extend:', error.message));
      const failed = await done;
      if (failed) console.error('failed:', failed.message);
      else count -= 1;
      await call(...(failed ? ['NACK', job, 'REASON', failed.message] : ['ACKJOB', job]));
    }
  }
}

// Without this, the process ends when the connection breaks.
client.on('error', (error: Error) => console.error('connection:', error.message));
client.connect().catch(() => {});
if (action === 'produce') {
  for (const body of rest) console.log('added', await call<string>('ADDJOB', QUEUE, body, ADDJOB_MS, ...OPTIONS), body);
} else {
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => { stopping = true; }); // The job in hand is finished.
  await work(Number(rest[0] ?? Infinity));
}
client.destroy();
