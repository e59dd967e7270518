"""Runs the functions of a script as checks, and tells the result of each as a line for `run`."""

import os
import socket
import traceback

PORT = int(os.environ["SHOALMQ_PORT"])
AUTH_PORT = int(os.environ["SHOALMQ_AUTH_PORT"])
PASSWORD = os.environ["SHOALMQ_PASSWORD"]


def run(title, checks):
    """Runs each check; `checks` maps a name to a function without arguments."""
    for name, check in checks.items():
        try:
            check()
        except Exception:
            reason = traceback.format_exc().strip().replace("\n", "\n    ")
            print(f"not ok {title}: {name}\n    {reason}", flush=True)
        else:
            print(f"ok {title}: {name}", flush=True)


def equal(found, expected):
    """Asserts with both values in the message."""
    assert found == expected, f"{found!r} is not {expected!r}"


def restart_server():
    """Has the server stop and start again. Not by a client library, which might send the command once more to the new one."""
    with socket.create_connection(("127.0.0.1", PORT), 20) as connection:
        connection.sendall(b"DEBUG RESTART\r\n")
        equal(connection.recv(1), b"")
