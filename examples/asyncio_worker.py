"""A producer and a worker of ten jobs at a time, with redis-py and asyncio: pip install redis

    python examples/asyncio_worker.py 127.0.0.1:7711 produce 'a body' 'another body'
    python examples/asyncio_worker.py 127.0.0.1:7711 work        # until SIGTERM or Ctrl-C; `work 10`: ten jobs

Both go on after a restart of the node. To try the rest: a job `sleep 90` takes 90 s, a job `fail` always fails.
"""

import asyncio
import signal
import sys

import redis.asyncio as redis

# How long GETJOB waits for a job, and ADDJOB for its copies. redis-py gives up on a reply after `socket_timeout`, 5 s by
# default since version 8, and then sends the command once more: so both must be shorter than that.
GETJOB_MS, ADDJOB_MS = 2000, 3000
# Deliver a job again after 60 s without a word from its worker; after three times, put it into asyncio-jobs.dead.
OPTIONS = ["RETRY", 60, "MAXDELIVER", 3, "BACKOFF", 1, 60]
QUEUE, AT_ONCE, stopping = "asyncio-jobs", 10, asyncio.Event()


async def call(client, *words):
    """Sends a command until it is answered, as a node that stops is back soon. So an ADDJOB may be done twice."""
    pause = 0.05
    while not (stopping.is_set() and words[0] == "GETJOB"):  # A worker that stops asks for no more jobs.
        try:
            return await client.execute_command(*words)
        except (redis.ConnectionError, redis.TimeoutError) as error:
            print("connection:", error, file=sys.stderr, flush=True)
        await asyncio.sleep(pause := min(2 * pause, 5))


async def handle(body):
    """Your work. An exception gives the job back; after a crash it is delivered again when its RETRY has passed."""
    if body.startswith("fail"):
        raise RuntimeError(f"cannot {body}")
    if body.startswith("sleep "):
        await asyncio.sleep(float(body.split()[1]))
    print("worked on", body, flush=True)


async def main(address, action, *rest):
    client = redis.Redis.from_url(f"redis://{address}", decode_responses=True)
    left = float(rest[0]) if action == "work" and rest else float("inf")

    async def work():
        nonlocal left
        while left > 0 and not stopping.is_set():
            left -= 1  # One of these jobs is for this loop; if it gets none, or fails, another may have it.
            jobs = await call(client, "GETJOB", "TIMEOUT", GETJOB_MS, "FROM", QUEUE)
            if not jobs or not await finish(*jobs[0][1:]):
                left += 1

    async def finish(job, body):
        """Works on a job, and says WORKING three times in its RETRY, which is the reply; the shortest RETRY is 1 s."""
        task, pause = asyncio.create_task(handle(body)), 0.3
        while not (await asyncio.wait([task], timeout=pause))[0]:
            try:
                pause = max(await call(client, "WORKING", job) / 3, 0.3)
            except redis.ResponseError as error:
                print("cannot extend:", error, file=sys.stderr, flush=True)
                pause = None
        if error := task.exception():
            print("failed:", error, file=sys.stderr, flush=True)
        await call(client, *(["NACK", job, "REASON", str(error)] if error else ["ACKJOB", job]))
        return not error

    if action == "produce":
        for body in rest:
            print("added", await call(client, "ADDJOB", QUEUE, body, ADDJOB_MS, *OPTIONS), body)
    else:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)  # The jobs in hand are finished.
        await asyncio.gather(*(work() for _ in range(AT_ONCE)))
    await client.aclose()


asyncio.run(main(*sys.argv[1:]))
