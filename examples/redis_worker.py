"""A producer and a worker with redis-py: pip install redis

    python examples/redis_worker.py 127.0.0.1:7711 produce 'a body' 'another body'
    python examples/redis_worker.py 127.0.0.1:7711 work        # until it is stopped
    python examples/redis_worker.py 127.0.0.1:7711 work 10     # ten jobs

Both go on after a restart of the node.
"""

import sys
import time

import redis

# How long GETJOB waits for a job, and ADDJOB for its copies. redis-py gives up on a reply after `socket_timeout`, 5 s by
# default since version 8, and then sends the command once more: so both must be shorter than that.
GETJOB_MS = 2000
ADDJOB_MS = 3000


def call(client, *words):
    """Sends a command until it is answered: a node that stops closes the connection, and is back soon, or another is.

    An answer may be lost with its connection, so that an ADDJOB is done twice. Here that is a job more, no job less.
    """
    pause = 0.1
    while True:
        try:
            return client.execute_command(*words)
        except (redis.ConnectionError, redis.TimeoutError) as error:
            print("connection:", error, file=sys.stderr, flush=True)
            time.sleep(pause)
            pause = min(2 * pause, 5)


def handle(body):
    """Your work. An exception gives the job back at once; a crash gives it back when its RETRY has passed."""
    print("worked on", body, flush=True)


def produce(client, bodies):
    for body in bodies:
        # Deliver it again after 60 s without an acknowledgement.
        job = call(client, "ADDJOB", "redis-py-jobs", body, ADDJOB_MS, "RETRY", 60)
        print("added", job, body)


def work(client, count):
    while count > 0:
        jobs = call(client, "GETJOB", "TIMEOUT", GETJOB_MS, "FROM", "redis-py-jobs")
        for _queue, job, body in jobs or []:
            try:
                handle(body)
            except Exception as error:
                print("failed:", error, file=sys.stderr)
                call(client, "NACK", job)
            else:
                call(client, "ACKJOB", job)
                count -= 1


host, port = sys.argv[1].split(":")
connection = redis.Redis(host, int(port), decode_responses=True)
if sys.argv[2] == "produce":
    produce(connection, sys.argv[3:])
else:
    work(connection, float(sys.argv[3]) if len(sys.argv) > 3 else float("inf"))
