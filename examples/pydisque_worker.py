"""A producer and a worker with pydisque: pip install pydisque

    python examples/pydisque_worker.py 127.0.0.1:7711 produce 'a body' 'another body'
    python examples/pydisque_worker.py 127.0.0.1:7711 work        # until it is stopped
    python examples/pydisque_worker.py 127.0.0.1:7711 work 10     # ten jobs
"""

import sys

from pydisque.client import Client


def handle(body):
    """Your work. An exception gives the job back at once; a crash gives it back when its RETRY has passed."""
    print("worked on", body, flush=True)


def produce(client, bodies):
    for body in bodies:
        # Wait at most 5 s for the copies; deliver again after 60 s without an acknowledgement.
        job = client.add_job("pydisque-jobs", body, timeout=5000, retry=60)
        print("added", job.decode(), body)


def work(client, count):
    while count > 0:
        for _queue, job, body in client.get_job(["pydisque-jobs"], timeout=2000):
            try:
                handle(body.decode())
            except Exception as error:
                print("failed:", error, file=sys.stderr)
                client.nack_job(job)
            else:
                client.ack_job(job)
                count -= 1


# More than one node may be given: the client takes another one when its own is gone.
connection = Client([sys.argv[1]])
connection.connect()
if sys.argv[2] == "produce":
    produce(connection, sys.argv[3:])
else:
    work(connection, float(sys.argv[3]) if len(sys.argv) > 3 else float("inf"))
