"""The image: built by buildah from the Dockerfile, and run with a read-only root as a user without rights.

Base images cannot be had everywhere this runs, so that both of the Dockerfile's arguments name images made here. The base
is what the real one is made of, the same packages of Debian. In the one for building, `cargo` is played by a script: it
hands out the binary that was given.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
# What distroless' cc image is made of, as far as a node needs it.
BASE = ["base-files", "netbase", "libc6", "libgcc-s1"]
USER = "65532:65532"
TOOLS = ["buildah", "apt-get", "dpkg-deb", "busybox", "unshare", "chroot", "mount"]
CARGO = """#!/bin/sh
# Plays cargo: the program is built already.
[ "$1" = build ] && [ -f Cargo.lock ] && [ -f src/main.rs ] && mkdir -p target/release && cp /shoalmq target/release/
"""

# In namespaces of its own: the node as a container runtime would run it, and then what a person would do with it. ROOT is
# the image's; the words of the image come as arguments, up to `--` the health check's.
RUN = r"""set -eu
    ip link set lo up
    mount --bind "$ROOT" "$ROOT"
    mount --bind "$VOLUME" "$ROOT/var/lib/shoalmq"
    mount -t tmpfs tmpfs "$ROOT/tmp"
    mount -t proc proc "$ROOT/proc"
    mount -o remount,bind,ro "$ROOT"
    enter() { chroot --userspec="$USER_OF_IMAGE" "$ROOT" "$@"; }
    health=
    while [ "$1" != -- ]; do health="$health $1"; shift; done
    shift
    chroot --userspec="$USER_OF_IMAGE" "$ROOT" "$@" > "$VOLUME.log" 2>&1 &
    node=$!
    for _ in $(seq 300); do
        # shellcheck disable=SC2086
        if enter $health >> "$VOLUME.health" 2>&1; then healthy=yes; break; fi
        kill -0 "$node" || { cat "$VOLUME.log"; exit 1; }
        sleep 0.1
    done
    [ -n "${healthy:-}" ] || { echo "not healthy:"; tail -3 "$VOLUME.health"; cat "$VOLUME.log"; exit 1; }
    cli() { enter /usr/local/bin/shoalmq cli --raw "$@"; }
    id=$(cli ADDJOB mail hello 1000)
    cli GETJOB FROM mail | grep -qx hello
    [ "$(cli ACKJOB "$id")" = 1 ]
    grep -q "^Uid:.65532.65532.65532.65532" "/proc/$node/status" || { echo "it is another user"; exit 1; }
    if touch "$ROOT/etc/x" 2> /dev/null; then echo "its root can be written"; exit 1; fi
    [ -f "$VOLUME/node.conf" ]
    kill "$node"
    wait "$node"
"""


def why_not():
    """Why the image cannot be made here, or nothing."""
    missing = [tool for tool in TOOLS if not shutil.which(tool)]
    if missing:
        return f"there is no {', '.join(missing)}"
    if os.geteuid():
        return "only root can make it"
    attempt = subprocess.run(["unshare", "--net", "--mount", "true"], capture_output=True, text=True)
    return attempt.stderr.strip() if attempt.returncode else None


class Buildah:
    """buildah with a store of its own, which goes with its folder."""

    def __init__(self, folder):
        self.options = ["--root", f"{folder}/store", "--runroot", f"{folder}/run", "--storage-driver", "vfs"]

    def __call__(self, *words):
        done = subprocess.run(["buildah", *self.options, *map(str, words)], capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"buildah {' '.join(map(str, words))}: {done.stdout}{done.stderr}")
        return done.stdout.strip()

    def make(self, name, folder):
        """An image of one layer: the folder."""
        container = self("from", "scratch")
        self("copy", container, folder, "/")
        self("config", "--env", "PATH=/usr/local/bin:/usr/bin:/bin", container)
        self("commit", "--format", "docker", container, name)
        self("rm", container)


def make_base(folder):
    """The packages of the real base, unpacked."""
    subprocess.run(["apt-get", "download", "-q", *BASE], cwd=folder, check=True, capture_output=True)
    root = folder / "base"
    for package in folder.glob("*.deb"):
        subprocess.run(["dpkg-deb", "--extract", package, root], check=True)
    return root


def make_builder(folder, binary):
    root = folder / "builder"
    (root / "bin").mkdir(parents=True)
    (root / "tmp").mkdir()
    shutil.copy(shutil.which("busybox"), root / "bin/busybox")
    for applet in ("sh", "cp", "mkdir"):
        (root / "bin" / applet).symlink_to("busybox")
    shutil.copy(binary, root / "shoalmq")
    (root / "bin/cargo").write_text(CARGO)
    (root / "bin/cargo").chmod(0o755)
    # busybox may want the machine's C library.
    linked = subprocess.run(["ldd", root / "bin/busybox"], capture_output=True, text=True).stdout
    for library in re.findall(r"(/\S+) \(0x", linked):
        (root / library.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, root / library.lstrip("/"))
    return root


def check(results, binary):
    obstacle = why_not()
    if obstacle:
        print(f"SKIPPED: the image: {obstacle}")
        return
    with tempfile.TemporaryDirectory(prefix="shoalmq-image-") as name:
        folder = Path(name)
        buildah = Buildah(folder)
        try:
            buildah.make("localhost/base", make_base(folder))
            buildah.make("localhost/builder", make_builder(folder, binary))
            buildah("build", "--isolation", "chroot", "--format", "docker", "--pull-never", "--build-arg",
                    "BUILD_IMAGE=localhost/builder", "--build-arg", "BASE_IMAGE=localhost/base", "--tag", "localhost/shoalmq", ROOT)
        except (RuntimeError, subprocess.CalledProcessError) as error:
            results.check("the image is built", [f"{error} {getattr(error, 'stderr', b'')}"])
            return
        image = json.loads(buildah("inspect", "--type", "image", "localhost/shoalmq"))["Docker"]["config"]
        results.check("the image is built", mistakes(image))
        container = buildah("from", "--pull-never", "localhost/shoalmq")
        root = Path(buildah("mount", container))
        results.check("the image holds one program", [f"{path}" for path in (root / "bin/sh", root / "usr/bin/sh", root / "src")
                                                     if path.exists()])
        results.check("the image runs with a read-only root, not as root", run(image, root, folder))
        size = sum(path.lstat().st_size for path in root.rglob("*") if path.is_file() and not path.is_symlink())
        print(f"the image's root: {size / 1e6:.0f} MB, the program {(root / 'usr/local/bin/shoalmq').stat().st_size / 1e6:.0f} MB")
        buildah("umount", container)


def mistakes(image):
    found = []
    if image["User"] != USER:
        found.append(f"it runs as {image['User']}")
    if set(image["ExposedPorts"]) != {"7711/tcp", "8711/tcp", "17711/tcp", "17711/udp"}:
        found.append(f"it exposes {sorted(image['ExposedPorts'])}")
    if not image.get("Healthcheck"):
        found.append("it has no health check")
    if "/var/lib/shoalmq" not in image["Volumes"]:
        found.append("its data is in the container")
    return found


def run(image, root, folder):
    for directory in ("tmp", "proc"):
        (root / directory).mkdir(exist_ok=True)
    volume = folder / "volume"
    volume.mkdir()
    os.chown(volume, 65532, 65532)
    # ["CMD", …]
    health = image["Healthcheck"]["Test"][1:]
    done = subprocess.run(["unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "bash", "-c", RUN,
                           "bash", *health, "--", *image["Entrypoint"], *image["Cmd"]], capture_output=True, text=True,
                          env={**os.environ, "ROOT": str(root), "VOLUME": str(volume), "USER_OF_IMAGE": image["User"]},
                          timeout=120)
    return [f"it ended with {done.returncode}: {done.stdout}{done.stderr}"] if done.returncode else []
