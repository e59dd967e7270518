"""Counts the instructions that a server takes for one ADDJOB, one GETJOB and one ACKJOB, 32 in a pipeline.

    python3 tests/instructions.py target/release/shoalmq [JOBS [OPTION ...]]

The server keeps its jobs in memory and runs under callgrind (Debian's package: valgrind). The options go with each ADDJOB; in them # stands
for the number of the job.
"""

import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

PIPELINE = 32
WARM_UP = 3200
PORT = 17711


def command(*words):
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def reply(stream):
    line = stream.readline()
    kind, value = line[:1], line[1:-2]
    if kind in (b"+", b":"):
        return value
    if kind == b"$":
        return stream.read(int(value) + 2)[:-2]
    if kind == b"*":
        return [reply(stream) for _ in range(int(value))]
    raise SystemExit(f"the server says {line}")


def connect(server):
    while server.poll() is None:
        try:
            return socket.create_connection(("127.0.0.1", PORT))
        except ConnectionRefusedError:
            time.sleep(0.1)
    raise SystemExit("the server does not start")


def send_all(connection, stream, commands):
    replies = []
    for first in range(0, len(commands), PIPELINE):
        batch = commands[first : first + PIPELINE]
        connection.sendall(b"".join(batch))
        replies += [reply(stream) for _ in batch]
    return replies


def control(server, order):
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(["callgrind_control", order, str(server.pid)], check=True, **quiet)


def life_of_jobs(phase, jobs, options):
    add = [b"ADDJOB", b"queue", b"x" * 100, b"0", b"REPLICATE", b"1", *options]
    numbers = (b"%d" % number for number in range(jobs))
    ids = phase("ADDJOB", [command(*(word.replace(b"#", number) for word in add)) for number in numbers])
    taken = phase("GETJOB", [command(b"GETJOB", b"NOHANG", b"FROM", b"queue")] * jobs)
    assert [job[0][1] for job in taken] == ids
    acked = phase("ACKJOB", [command(b"ACKJOB", id) for id in ids])
    assert set(acked) == {b"1"}


def main(binary, jobs, *terms):
    folder = pathlib.Path(tempfile.mkdtemp())
    valgrind = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/count"]
    terms = [term.encode() for term in terms]
    options = ["--port", str(PORT), "--http-port", "0", "--appendonly", "no", "--dir", str(folder)]
    server = subprocess.Popen([*valgrind, binary, "server", *options], stderr=subprocess.DEVNULL)
    connection = connect(server)
    stream = connection.makefile("rb")

    def counted(name, commands):
        control(server, "--zero")
        replies = send_all(connection, stream, commands)
        control(server, f"--dump={name}")
        return replies

    life_of_jobs(lambda _, commands: send_all(connection, stream, commands), WARM_UP, terms)
    life_of_jobs(counted, jobs, terms)
    server.send_signal(signal.SIGTERM)
    server.wait()
    for count in sorted(folder.glob("count.*")):
        text = count.read_text()
        name = re.search(r"Trigger: dump (\w+)", text)[1]
        total = int(re.search(r"^totals: (\d+)", text, re.MULTILINE)[1])
        print(name, round(total / jobs))


main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 32_000, *sys.argv[3:])
