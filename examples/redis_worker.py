"""A producer and a worker with redis-py: pip install redis

    python examples/redis_worker.py 127.0.0.1:7711 produce 'a body' 'another body'
    python examples/redis_worker.py 127.0.0.1:7711 work        # until SIGTERM or Ctrl-C; `work 10`: ten jobs

Both go on after a restart of the node. To try the rest: a job `sleep 90` takes 90 s, a job `fail` always fails.
"""

import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor, wait

import redis

# How long GETJOB waits for a job, and ADDJOB for its copies. redis-py gives up on a reply after `socket_timeout`, 5 s by
# default since version 8, and then sends the command once more: so both must be shorter than that.
GETJOB_MS, ADDJOB_MS = 2000, 3000
# Deliver a job again after 60 s without a word from its worker; after three times, put it into redis-py-jobs.dead.
OPTIONS = ["RETRY", 60, "MAXDELIVER", 3, "BACKOFF", 1, 60]
QUEUE = "redis-py-jobs"
stopping = threading.Event()


def call(client, *words):
    """Sends a command until it is answered: a node that stops closes the connection, and is back soon, or another is.

    An answer may be lost with its connection, so that an ADDJOB is done twice. Here that is a job more, no job less.
    """
    pause = 0.05
    while not (stopping.is_set() and words[0] == "GETJOB"):  # A worker that stops asks for no more jobs.
        try:
            return client.execute_command(*words)
        except (redis.ConnectionError, redis.TimeoutError) as error:
            print("connection:", error, file=sys.stderr, flush=True)
        time.sleep(pause := min(2 * pause, 5))


def handle(body):
    """Your work. An exception gives the job back; after a crash it is delivered again when its RETRY has passed."""
    if body.startswith("fail"):
        raise RuntimeError(f"cannot {body}")
    if body.startswith("sleep "):
        time.sleep(float(body.split()[1]))
    print("worked on", body, flush=True)


def finish(client, job, body, thread):
    """Works on a job, and says WORKING three times in its RETRY, which is the reply; the shortest RETRY is 1 s."""
    task, pause = thread.submit(handle, body), 0.3
    while not wait([task], pause).done:
        try:
            pause = max(call(client, "WORKING", job) / 3, 0.3)
        except redis.ResponseError as error:
            print("cannot extend:", error, file=sys.stderr, flush=True)
            pause = None
    if error := task.exception():
        print("failed:", error, file=sys.stderr, flush=True)
    call(client, *(["NACK", job, "REASON", str(error)] if error else ["ACKJOB", job]))
    return not error


def work(client, count):
    with ThreadPoolExecutor(1) as thread:
        while count > 0 and not stopping.is_set():
            for _queue, job, body in call(client, "GETJOB", "TIMEOUT", GETJOB_MS, "FROM", QUEUE) or []:
                count -= finish(client, job, body, thread)


connection = redis.Redis.from_url(f"redis://{sys.argv[1]}", decode_responses=True)
if sys.argv[2] == "produce":
    for text in sys.argv[3:]:
        print("added", call(connection, "ADDJOB", QUEUE, text, ADDJOB_MS, *OPTIONS), text)
else:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())  # The job in hand is finished.
    work(connection, float(sys.argv[3]) if len(sys.argv) > 3 else float("inf"))
