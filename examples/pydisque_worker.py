"""A producer and a worker with pydisque: pip install pydisque

    python examples/pydisque_worker.py 127.0.0.1:7711 produce 'a body' 'another body'
    python examples/pydisque_worker.py 127.0.0.1:7711 work        # until it is stopped
    python examples/pydisque_worker.py 127.0.0.1:7711 work 10     # ten jobs

Both go on after a restart of the node.
"""

import sys
import time

import redis
from pydisque.client import Client

# How long GETJOB waits for a job, and ADDJOB for its copies. pydisque uses redis-py, which gives up on a reply after 5 s
# since version 8, and then sends the command once more: so both must be shorter than that.
GETJOB_MS = 2000
ADDJOB_MS = 3000


def call(command, *arguments, **options):
    """Sends a command until it is answered: a node that stops closes the connection, and is back soon, or another is.

    An answer may be lost with its connection, so that an ADDJOB is done twice. Here that is a job more, no job less.
    """
    pause = 0.1
    while True:
        try:
            return command(*arguments, **options)
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
        job = call(client.add_job, "pydisque-jobs", body, timeout=ADDJOB_MS, retry=60)
        print("added", job.decode(), body)


def work(client, count):
    while count > 0:
        for _queue, job, body in call(client.get_job, ["pydisque-jobs"], timeout=GETJOB_MS):
            try:
                handle(body.decode())
            except Exception as error:
                print("failed:", error, file=sys.stderr)
                call(client.nack_job, job)
            else:
                call(client.ack_job, job)
                count -= 1


# More than one node may be given: the client takes another one when its own is gone.
connection = Client([sys.argv[1]])
call(connection.connect)
if sys.argv[2] == "produce":
    produce(connection, sys.argv[3:])
else:
    work(connection, float(sys.argv[3]) if len(sys.argv) > 3 else float("inf"))
