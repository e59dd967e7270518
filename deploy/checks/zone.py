"""The script that asks Kubernetes for a machine's zone, against a server that plays its API."""

import http.server
import json
import os
import shutil
import subprocess
import tempfile
import threading
from pathlib import Path

# A machine's name, its labels, and the file that comes of it; none when the script must fail.
CASES = [
    ("here", {"topology.kubernetes.io/region": "eu", "topology.kubernetes.io/zone": "eu-1a"}, 'include /c\nzone "eu-1a"\n'),
    ("nowhere", {"kubernetes.io/hostname": "nowhere"}, 'include /c\nzone ""\n'),
    ("missing", None, None),
]


class Api(http.server.BaseHTTPRequestHandler):
    """Knows the machines of CASES, and asks for the token."""

    def do_GET(self):  # noqa: N802
        labels = {f"/api/v1/nodes/{name}": labels for name, labels, _ in CASES}.get(self.path)
        allowed = self.headers["Authorization"] == "Bearer secret"
        text = json.dumps({"metadata": {"labels": labels, "annotations": {"zone": "topology.kubernetes.io/zone"}}}, indent=2)
        self.send_response(200 if allowed and labels is not None else 404)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_):
        pass


def check(results, script):
    if not shutil.which("curl"):
        print("SKIPPED: the zone of a machine: there is no curl")
        return
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "token").write_text("secret")
        Path(folder, "ca.crt").touch()
        for name, _, wanted in CASES:
            out = Path(folder, name)
            done = subprocess.run(["sh", str(script)], capture_output=True, text=True, env={
                **os.environ, "API": f"http://127.0.0.1:{server.server_port}", "ACCOUNT": folder, "NODE_NAME": name,
                "CONFIG": "/c", "OUT": str(out), "no_proxy": "127.0.0.1"})
            text = out.read_text() if out.exists() else None
            right = text == wanted and (done.returncode == 0) == (wanted is not None)
            results.check(f"the zone of the machine {name}", [] if right else [f"{text!r}: {done.stdout}{done.stderr}"])
    server.shutdown()
