"""PyPI's valkey-glide, in both protocols: connections, jobs, a blocking call, INFO, a restarted server."""

import asyncio
import contextlib

import glide
from checks import AUTH_PORT, PASSWORD, PORT, equal, restart_server, run

# Of each call, in ms: longer than any GETJOB here may block. The library's own default is 250.
REQUEST_TIMEOUT = 10_000


async def connect(protocol, port=PORT, user=None, password=None, subscriptions=None):
    credentials = glide.ServerCredentials(password=password, username=user) if password else None
    configuration = glide.GlideClientConfiguration(
        [glide.NodeAddress("127.0.0.1", port)],
        protocol=protocol,
        credentials=credentials,
        request_timeout=REQUEST_TIMEOUT,
        pubsub_subscriptions=subscriptions,
    )
    return await glide.GlideClient.create(configuration)


def checks(protocol):
    def check(function):
        """Runs a check with a client of its own."""

        async def connected():
            client = await connect(protocol)
            try:
                await function(client)
            finally:
                await client.close()

        return lambda: asyncio.run(connected())

    async def add_get_ack(client):
        job = await client.custom_command(["ADDJOB", "q", b"a \x00 body\r\n", "0", "RETRY", "60"])
        equal(len(job), 40)
        equal(await client.custom_command(["GETJOB", "FROM", "q"]), [[b"q", job, b"a \x00 body\r\n"]])
        equal(await client.custom_command(["ACKJOB", job]), 1)
        equal(await client.custom_command(["SHOW", job]), None)
        equal(await client.custom_command(["GETJOB", "NOHANG", "FROM", "q"]), None)

    async def blocking_get(client):
        other = await connect(protocol)
        waiting = asyncio.create_task(client.custom_command(["GETJOB", "TIMEOUT", "5000", "FROM", "wait"]))
        while b"blocked_clients:1" not in await other.info([glide.InfoSection.CLIENTS]):
            pass
        job = await other.custom_command(["ADDJOB", "wait", "body", "0"])
        equal(await waiting, [[b"wait", job, b"body"]])
        equal(await other.custom_command(["ACKJOB", job]), 1)
        await other.close()

    async def helpers(client):
        equal(await client.ping(), b"PONG")
        equal(await client.echo("hi"), b"hi")
        info = await client.info([glide.InfoSection.SERVER, glide.InfoSection.REPLICATION])
        assert b"\r\nredis_version:" in info and b"\r\nrole:master\r\n" in info, info
        assert f"\r\ntcp_port:{PORT}\r\n".encode() in await client.info()
        equal(await client.config_get(["maxclients"]), {b"maxclients": b"10000"})
        assert await client.client_id() > 0
        commands = await client.custom_command(["COMMAND"])
        equal({len(row) for row in commands}, {10})

    async def errors_keep_their_code(client):
        try:
            await client.custom_command(["SHOW", "x"])
        except glide.RequestError as error:
            assert "BADID" in str(error), error
        else:
            raise AssertionError("a bad id is refused")

    async def publish_and_subscribe(client):
        modes = glide.GlideClientConfiguration.PubSubChannelModes
        names = {modes.Exact: {"glide.news"}, modes.Pattern: {"glide.*"}}
        wanted = glide.GlideClientConfiguration.PubSubSubscriptions(names, None, None)
        listener = await connect(protocol, subscriptions=wanted)
        equal(await client.publish(b"a \x00 body\r\n", "glide.news"), 2)
        equal(await client.publish("x", "glide.other"), 1)
        told = [await asyncio.wait_for(listener.get_pubsub_message(), 10) for _ in range(3)]
        equal(
            {(message.channel, message.pattern, message.message) for message in told},
            {
                (b"glide.news", None, b"a \x00 body\r\n"),
                (b"glide.news", b"glide.*", b"a \x00 body\r\n"),
                (b"glide.other", b"glide.*", b"x"),
            },
        )
        equal(await client.pubsub_channels("glide.*"), [b"glide.news"])
        await listener.close()

    async def finds_a_restarted_server(client):
        # With a short retry, for an answer may be lost on the way.
        job = await client.custom_command(["ADDJOB", "kept", "body", "0", "RETRY", "1"])
        restart_server()
        found = None
        while found is None:
            with contextlib.suppress(glide.GlideError):
                found = await client.custom_command(["GETJOB", "TIMEOUT", "1000", "FROM", "kept"])
        equal(found, [[b"kept", job, b"body"]])
        equal(await client.custom_command(["ACKJOB", job]), 1)

    async def passwords(_):
        reasons = ("NOAUTH", "WRONGPASS", "AuthenticationFailed")
        for user in (None, "default"):
            known = await connect(protocol, AUTH_PORT, user, PASSWORD)
            equal(await known.ping(), b"PONG")
            await known.close()
        for user, password in ((None, None), (None, "wrong"), ("bob", PASSWORD)):
            try:
                await connect(protocol, AUTH_PORT, user, password)
            except glide.ClosingError as error:
                assert any(reason in str(error) for reason in reasons), error
            else:
                raise AssertionError("a stranger is refused")

    found = [add_get_ack, blocking_get, helpers, errors_keep_their_code, finds_a_restarted_server, passwords]
    # The library subscribes in RESP3 alone.
    if protocol == glide.ProtocolVersion.RESP3:
        found.append(publish_and_subscribe)
    return {function.__name__.replace("_", " "): check(function) for function in found}


for protocol in (glide.ProtocolVersion.RESP2, glide.ProtocolVersion.RESP3):
    run(f"valkey-glide, {protocol.name}", checks(protocol))
