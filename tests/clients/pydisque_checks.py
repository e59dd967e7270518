"""PyPI's pydisque, the Disque client for Python."""

import threading

from checks import PORT, equal, run
from pydisque.client import Client


def connect():
    client = Client([f"127.0.0.1:{PORT}"])
    client.connect()
    return client


client = connect()
client.execute_command("DEBUG", "FLUSHALL")


def hello():
    version, node, *nodes = client.hello()
    equal(version, 1)
    equal(len(node), 40)
    equal([entry[0] for entry in nodes], [node])


def add_get_ack():
    job = client.add_job("q", "body", timeout=0, retry=60, ttl=3600)
    equal(client.qlen("q"), 1)
    equal(client.get_job(["q"], withcounters=True), [(b"q", job, b"body", 0, 0)])
    client.ack_job(job)
    equal(client.show(job), None)


def nack_and_working():
    job = client.add_job("q", "body", retry=60)
    equal(client.get_job(["q"])[0][1], job)
    equal(client.working(job), 60)
    client.nack_job(job)
    equal(client.get_job(["other", "q"], timeout=1000, withcounters=True), [(b"q", job, b"body", 1, 0)])
    client.fast_ack(job)
    equal(client.qlen("q"), 0)


def nothing_to_get():
    equal(client.get_job(["empty"], nohang=True), [])
    equal(client.get_job(["empty"], timeout=5), [])


def blocking_get():
    found = []
    waiting = connect()
    thread = threading.Thread(target=lambda: found.extend(waiting.get_job(["wait"])))
    thread.start()
    while b"blocked_clients:1" not in as_bytes(client.execute_command("INFO", "clients")):
        pass
    job = client.add_job("wait", "body")
    thread.join(10)
    equal(found, [(b"wait", job, b"body")])
    client.ack_job(job)


def as_bytes(info):
    """INFO as text, whether or not the library has parsed it."""
    if isinstance(info, dict):
        return b"\n".join(f"{key}:{value}".encode() for key, value in info.items())
    return info


def scans():
    jobs = {client.add_job(f"scan-{n % 3}", "body") for n in range(20)}
    cursor, queues = client.qscan(count=1000, minlen=6)
    equal((cursor, set(queues)), (b"0", {b"scan-0", b"scan-1", b"scan-2"}))
    cursor, found = client.jscan(count=1000, state=["queued", "active"])
    assert jobs <= set(found)
    _, shown = client.jscan(busyloop=True, queue="scan-1", reply="all")
    equal({len(job) for job in shown}, {30})
    equal(client.del_job(*jobs), 20)


def show_stat_peek_pause():
    job = client.add_job("p", "body")
    shown = client.show(job, return_dict=True)
    equal((shown[b"state"], shown[b"body"]), (b"queued", b"body"))
    equal(client.qstat("p", return_dict=True)[b"len"], 1)
    equal(client.qpeek("p", 1), [[b"p", job, b"body"]])
    equal(client.pause("p", kw_out=True), b"out")
    equal(client.get_job(["p"], nohang=True), [])
    equal(client.pause("p", kw_none=True), b"none")
    equal(client.dequeue(job), 1)
    equal(client.enqueue(job), 1)
    client.ack_job(job)


run(
    "pydisque",
    {
        function.__name__.replace("_", " "): function
        for function in (
            hello,
            add_get_ack,
            nack_and_working,
            nothing_to_get,
            blocking_get,
            scans,
            show_stat_peek_pause,
        )
    },
)
