"""A producer and a worker with redis-py: pip install redis

    python examples/redis_worker.py 127.0.0.1:7711 produce 'a body' 'another body'
    python examples/redis_worker.py 127.0.0.1:7711 work        # until it is stopped
    python examples/redis_worker.py 127.0.0.1:7711 work 10     # ten jobs
"""

import sys

import redis


def handle(body):
    """Your work. An exception gives the job back at once; a crash gives it back when its RETRY has passed."""
    print("worked on", body, flush=True)


def produce(client, bodies):
    for body in bodies:
        # Wait at most 5 s for the copies; deliver again after 60 s without an acknowledgement.
        job = client.execute_command("ADDJOB", "redis-py-jobs", body, 5000, "RETRY", 60)
        print("added", job, body)


def work(client, count):
    while count > 0:
        jobs = client.execute_command("GETJOB", "TIMEOUT", 2000, "FROM", "redis-py-jobs")
        for _queue, job, body in jobs or []:
            try:
                handle(body)
            except Exception as error:
                print("failed:", error, file=sys.stderr)
                client.execute_command("NACK", job)
            else:
                client.execute_command("ACKJOB", job)
                count -= 1


host, port = sys.argv[1].split(":")
connection = redis.Redis(host, int(port), decode_responses=True)
if sys.argv[2] == "produce":
    produce(connection, sys.argv[3:])
else:
    work(connection, float(sys.argv[3]) if len(sys.argv) > 3 else float("inf"))
