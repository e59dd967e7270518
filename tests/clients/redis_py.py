"""PyPI's redis, in both protocols: plain commands, pipelines, blocking, helpers, asyncio."""

import asyncio
import threading
import uuid

import redis
import redis.asyncio
from checks import AUTH_PORT, PASSWORD, PORT, equal, run


def checks(protocol):
    client = redis.Redis(port=PORT, protocol=protocol)
    call = client.execute_command

    def add(queue, body, *options):
        return call("ADDJOB", queue, body, 0, *options)

    def add_get_ack():
        job = add("q", b"a \x00 body\r\n", "RETRY", 60)
        equal(len(job), 40)
        equal(call("QLEN", "q"), 1)
        equal(call("GETJOB", "FROM", "q"), [[b"q", job, b"a \x00 body\r\n"]])
        equal(call("ACKJOB", job), 1)
        equal(call("SHOW", job), None)

    def nothing_to_get_is_none():
        equal(call("GETJOB", "NOHANG", "FROM", "empty"), None)
        equal(call("GETJOB", "TIMEOUT", 5, "FROM", "empty"), None)
        equal(call("QSTAT", "unknown"), None)

    def nack_and_working():
        job = add("q", "body", "RETRY", 60)
        call("GETJOB", "FROM", "q")
        equal(call("WORKING", job), 60)
        equal(call("NACK", job), 1)
        [[_, again, _, _, nacks, _, more]] = call("GETJOB", "WITHCOUNTERS", "FROM", "q")
        equal((again, nacks, more), (job, 1, 0))
        equal(call("FASTACK", job), 1)

    def fields(told):
        return told if isinstance(told, dict) else dict(zip(told[::2], told[1::2]))

    def a_whole_life():
        job = add("life", "body", "PRIORITY", 7, "MAXDELIVER", 5, "DEAD", "grave", "BACKOFF", 1, 60, "KEEP", 60, "META", "a", "b")
        equal(call("PROMOTE", job, 9), 1)
        [[_, _, _, _, meta]] = call("GETJOB", "WITHMETA", "FROM", "life")
        equal(fields(meta), {b"a": b"b", b"shoal.deliveries": 1})
        equal(call("WORKING", job, "PROGRESS", "half"), 300)
        equal(call("WAITJOB", "TIMEOUT", 1, job), [[job, b"pending", b"half"]])
        out = fields(call("EXPLAIN", job))
        equal([out[b"id"], out[b"queue"], out[b"state"], out[b"progress"]], [job, b"life", b"active", b"half"])
        copies = [fields(copy) for copy in out[b"copies"]]
        equal([(copy[b"state"], copy[b"turn"], copy[b"next"]) for copy in copies], [(b"active", 1, b"retry")])
        equal((fields(out[b"held-by"])[b"client"] > 0, out[b"missing"]), (True, []))
        equal([event[2] for event in out[b"events"]][:4], [b"added", b"queued", b"promoted", b"handed out"])
        equal(call("NACK", job, "DEAD", "REASON", "why"), 1)
        [[_, outcome, dead]] = call("WAITJOB", job)
        equal((outcome, fields(dead)[b"shoal.dead.text"]), (b"dead", b"why"))
        [[_, _, _, _, meta]] = call("QPEEK", "grave", 1, "WITHMETA")
        equal(fields(meta)[b"shoal.dead.from"], b"life")
        queues, missing = call("QLIST", "MATCH", "grave")
        equal([fields(queue)[b"dead"] for queue in queues], [1])
        equal(missing, [])
        equal(call("REDRIVE", "grave"), 1)
        equal(call("ACKJOB", job, "RESULT", b"4\x002"), 1)
        equal(call("WAITJOB", job), [[job, b"acked", b"4\x002"]])
        equal(fields(call("EXPLAIN", job))[b"state"], b"acked")
        other = add("life", "body")
        equal(call("DELJOB", other, "GLOBAL"), 1)
        equal(call("WAITJOB", other), [[other, b"deleted", None]])

    def a_job_with_a_key():
        # Other clients do the same at this server.
        key = uuid.uuid4().hex
        job = add("keyed", "body", "DEDUP", key, "WINDOW", 3600)
        equal(add("keyed", "other", "DEDUP", key), job)
        told = fields(call("ADDJOB", "keyed", "body", 0, "DEDUP", key, "RECEIPT"))
        equal(told, {b"id": job, b"existing": 1, b"copies": 0, b"on-disk": 0, b"zones": 0})
        told = fields(call("ADDJOB", "keyed", "body", 0, "RECEIPT"))
        equal((told[b"existing"], told[b"copies"], told[b"zones"]), (0, 1, 1))
        equal(call("ACKJOB", job, told[b"id"]), 2)
        equal(add("keyed", "body", "DEDUP", key), job)
        equal(call("GETJOB", "NOHANG", "FROM", "keyed"), None)

    def blocking_get():
        found = []
        waiting = redis.Redis(port=PORT, protocol=protocol)
        thread = threading.Thread(target=lambda: found.append(waiting.execute_command("GETJOB", "FROM", "wait")))
        thread.start()
        while int(client.info("clients")["blocked_clients"]) == 0:
            pass
        job = add("wait", "body")
        thread.join(10)
        equal(found, [[[b"wait", job, b"body"]]])
        call("ACKJOB", job)

    def scans():
        jobs = {add(f"scan-{n % 3}", "body") for n in range(30)}
        cursor, queues = call("QSCAN", 0, "COUNT", 1000)
        equal(cursor, b"0")
        assert {b"scan-0", b"scan-1", b"scan-2"} <= set(queues), queues
        found, cursor = set(), b"0"
        while True:
            cursor, page = call("JSCAN", cursor, "COUNT", 7)
            found |= set(page)
            if cursor == b"0":
                break
        assert jobs <= found
        _, shown = call("JSCAN", "REPLY", "all", "QUEUE", "scan-0", "BUSYLOOP")
        equal({len(job) for job in shown}, {30})
        equal(call("ACKJOB", *jobs), 30)

    def show_is_a_flat_list():
        job = add("q", "body", "RETRY", 0)
        shown = call("SHOW", job)
        equal(len(shown), 30)
        fields = dict(zip(shown[::2], shown[1::2]))
        equal((fields[b"id"], fields[b"retry"], fields[b"next-requeue-within"]), (job, 0, None))
        equal(len(call("QSTAT", "q")), 20)
        call("ACKJOB", job)

    def pipelines():
        pipeline = client.pipeline(transaction=False)
        for n in range(500):
            pipeline.execute_command("ADDJOB", "pipe", n, 0)
        jobs = pipeline.execute()
        taken = call("GETJOB", "COUNT", 500, "FROM", "pipe")
        equal([int(body) for _, _, body in taken], list(range(500)))
        equal(call("ACKJOB", *jobs), 500)

    def errors_keep_their_code():
        try:
            call("SHOW", "x")
        except redis.ResponseError as error:
            equal(str(error), "BADID Invalid Job ID format.")
        else:
            raise AssertionError("a bad id is refused")
        equal(client.ping(), True)

    def helpers():
        equal(client.echo("hi"), b"hi")
        equal(client.info()["loading"], 0)
        equal(client.info()["tcp_port"], PORT)
        settings = client.config_get("maxclients")
        equal({str(k, "ascii") if isinstance(k, bytes) else k for k in settings}, {"maxclients"})
        assert client.config_set("slowlog-max-len", 127)
        equal(len(client.time()), 2)
        assert client.client_setname("a-name")
        assert client.client_id() > 0
        assert any(entry["name"] == "a-name" for entry in client.client_list())
        assert isinstance(client.slowlog_get(), list)
        assert client.command_count() >= 32
        equal(len(client.command()["config"]["subcommands"]), 4)
        equal(client.info("server", "replication")["role"], "master")

    def reconnects_after_a_kill():
        name = client.client_id()
        killer = redis.Redis(port=PORT, protocol=protocol)
        equal(killer.client_kill_filter(_id=str(name)), 1)
        equal(client.ping(), True)

    def decoded_answers():
        decoding = redis.Redis(port=PORT, protocol=protocol, decode_responses=True)
        job = decoding.execute_command("ADDJOB", "q", "body", 0)
        equal(decoding.execute_command("GETJOB", "FROM", "q"), [["q", job, "body"]])
        decoding.execute_command("ACKJOB", job)

    def passwords():
        for user in (None, "default"):
            known = redis.Redis(port=AUTH_PORT, protocol=protocol, username=user, password=PASSWORD)
            equal(known.ping(), True)
        for stranger in (
            redis.Redis(port=AUTH_PORT, protocol=protocol),
            redis.Redis(port=AUTH_PORT, protocol=protocol, password="wrong"),
            redis.Redis(port=AUTH_PORT, protocol=protocol, username="bob", password=PASSWORD),
        ):
            try:
                stranger.ping()
            except redis.RedisError:
                pass
            else:
                raise AssertionError("a stranger is refused")

    def publish_and_subscribe():
        def told(pubsub):
            message = pubsub.get_message(timeout=10)
            return message and (message["type"], message["pattern"], message["channel"], message["data"])

        listener = redis.Redis(port=PORT, protocol=protocol)
        with listener.pubsub() as pubsub:
            pubsub.subscribe("py.news", "py.old")
            pubsub.psubscribe("py.*")
            equal(told(pubsub), ("subscribe", None, b"py.news", 1))
            equal(told(pubsub), ("subscribe", None, b"py.old", 2))
            equal(told(pubsub), ("psubscribe", None, b"py.*", 3))
            equal(client.publish("py.news", b"a \x00 body\r\n"), 2)
            equal(client.publish("py.other", "x"), 1)
            equal(client.publish("unheard", "x"), 0)
            equal(told(pubsub), ("message", None, b"py.news", b"a \x00 body\r\n"))
            equal(told(pubsub), ("pmessage", b"py.*", b"py.news", b"a \x00 body\r\n"))
            equal(told(pubsub), ("pmessage", b"py.*", b"py.other", b"x"))
            pubsub.ping()
            equal(told(pubsub)[0], "pong")
            equal(client.pubsub_channels("py.*"), [b"py.news", b"py.old"])
            equal(client.pubsub_numsub("py.news", "unheard"), [(b"py.news", 1), (b"unheard", 0)])
            equal(client.pubsub_numpat(), 1)
            pubsub.unsubscribe("py.news")
            equal(told(pubsub), ("unsubscribe", None, b"py.news", 2))
            pubsub.unsubscribe()
            pubsub.punsubscribe()
            equal(told(pubsub), ("unsubscribe", None, b"py.old", 1))
            equal(told(pubsub), ("punsubscribe", None, b"py.*", 0))
            equal(client.publish("py.news", "x"), 0)

    def messages_come_in_order():
        listener = redis.Redis(port=PORT, protocol=protocol)
        with listener.pubsub(ignore_subscribe_messages=True) as pubsub:
            pubsub.psubscribe("order.*")
            pubsub.get_message(timeout=10)
            pipeline = client.pipeline(transaction=False)
            for n in range(500):
                pipeline.publish(f"order.{n % 3}", n)
            equal(set(pipeline.execute()), {1})
            equal([int(pubsub.get_message(timeout=10)["data"]) for _ in range(500)], list(range(500)))

    def asynchronous():
        async def work():
            async with redis.asyncio.Redis(port=PORT, protocol=protocol) as one:
                async with redis.asyncio.Redis(port=PORT, protocol=protocol) as other:
                    waiting = asyncio.create_task(one.execute_command("GETJOB", "TIMEOUT", 5000, "FROM", "aio"))
                    job = await other.execute_command("ADDJOB", "aio", "body", 0)
                    equal(await waiting, [[b"aio", job, b"body"]])
                    equal(await other.execute_command("ACKJOB", job), 1)

        asyncio.run(work())

    def asynchronous_subscription():
        async def work():
            async with redis.asyncio.Redis(port=PORT, protocol=protocol) as one, one.pubsub() as pubsub:
                await pubsub.subscribe("aio.news")
                equal((await pubsub.get_message(timeout=10))["type"], "subscribe")
                equal(await one.publish("aio.news", "body"), 1)
                equal((await pubsub.get_message(timeout=10))["data"], b"body")

        asyncio.run(work())

    def topics():
        first = call("TPUB", "py.topic", "one", "META", "a", "b")
        second = call("TPUB", "py.topic", "two")
        cursor, entries = call("TREAD", "FROM", 0, "COUNT", 1, "PATTERN", "py.topic")
        equal(entries, [[first, b"py.topic", b"one"]])
        cursor, entries = call("TREAD", "FROM", cursor, "BLOCK", 10, "PATTERN", "py.topic")
        equal(entries, [[second, b"py.topic", b"two"]])
        equal(call("TFLUSH", "py.topic", "BEFORE", "$"), 2)

    found = dict(locals())
    return {name.replace("_", " "): item for name, item in found.items() if callable(item) and name not in HELPERS}


HELPERS = {"call", "add", "client", "fields"}

for version in (2, 3):
    redis.Redis(port=PORT).execute_command("DEBUG", "FLUSHALL")
    run(f"redis-py, RESP{version}", checks(version))
