"""All checks of deploy/: see deploy/check."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

import chart
import image
import manifests
import zone
from results import Results

DEPLOY = Path(__file__).resolve().parent.parent
ROOT = DEPLOY.parent
KUBERNETES = DEPLOY / "kubernetes"
# systemd's measure of what a service could do, from 0, nothing, to 100.
EXPOSURE = 15


def run(*command, **options):
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)


def faults_of(*command, **options):
    """What a command said, if it failed or warned."""
    done = run(*command, **options)
    said = (done.stdout + done.stderr).strip()
    if done.returncode:
        return [said or f"{command[0]} ended with {done.returncode}"]
    return []


def render(folder):
    """The objects of a kustomization, and what went wrong."""
    done = run("kubectl", "kustomize", folder)
    if done.returncode or done.stderr.strip():
        return [], [done.stderr]
    return [thing for thing in yaml.safe_load_all(done.stdout) if thing], []


def check_objects(results, what, objects, faults):
    results.check(f"{what} renders", faults)
    if objects:
        results.check(f"{what} is valid", manifests.invalid(objects))
        results.check(f"{what} fits together", list(manifests.inconsistent(objects)))


def kustomizations(results):
    """The base, each overlay, and each component on top of the base."""
    for folder in [KUBERNETES / "base", *sorted((KUBERNETES / "overlays").iterdir())]:
        check_objects(results, folder.relative_to(ROOT), *render(folder))
    for component in sorted((KUBERNETES / "components").iterdir()):
        # Kustomize takes relative paths alone, and only of folders beside or below.
        with tempfile.TemporaryDirectory(dir=KUBERNETES, prefix=".check-") as folder:
            text = {"kind": "Kustomization", "namespace": "other", "resources": ["../base"],
                    "components": [f"../components/{component.name}"]}
            Path(folder, "kustomization.yaml").write_text(yaml.safe_dump(text))
            check_objects(results, component.relative_to(ROOT), *render(folder))
    for example in sorted((KUBERNETES / "examples").iterdir()):
        objects = list(yaml.safe_load_all(example.read_text()))
        faults = [*manifests.invalid(objects), *manifests.pods(objects), *manifests.custom(objects)]
        results.check(f"{example.relative_to(ROOT)} is valid", faults)


def alerts():
    """The alerts of grafana/ as the operator of Prometheus takes them: its groups are those of the files."""
    groups = [group for file in sorted((ROOT / "grafana/alerts").glob("*.yaml"))
              for group in yaml.safe_load(file.read_text())["groups"]]
    rule = {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule",
            "metadata": {"name": "shoalmq", "labels": {"app.kubernetes.io/name": "shoalmq"}}, "spec": {"groups": groups}}
    head = "# Made from grafana/alerts by `deploy/check --write`.\n"
    return head + yaml.safe_dump(rule, sort_keys=False, allow_unicode=True, width=120)


def made(results):
    """What is made from other files is as they are."""
    for path, text in MADE.items():
        results.check(f"{path.relative_to(ROOT)} is as deploy/check --write makes it",
                      [] if path.exists() and path.read_text() == text() else ["it is not"])
    dashboards = {file.name for file in (ROOT / "grafana/dashboards").glob("*.json")}
    listed = {Path(file).name for made in yaml.safe_load((ROOT / "grafana/kustomization.yaml").read_text())["configMapGenerator"]
              for file in made["files"]}
    results.check("grafana/kustomization.yaml has all dashboards", sorted(dashboards ^ listed))


MADE = {KUBERNETES / "overlays/monitoring/prometheusrule.yaml": alerts}


def compose(results):
    done = run("docker-compose", "-f", DEPLOY / "compose.yaml", "config", "--format", "json")
    results.check("compose.yaml is accepted", [done.stderr] if done.returncode else [])
    if done.returncode:
        return
    faults = []
    services = json.loads(done.stdout)["services"]
    for name in ("node-1", "node-2", "node-3", "prometheus", "grafana"):
        if name not in services:
            faults.append(f"no {name}")
    for name, service in services.items():
        faults += [f"{name} is open to other machines: {port}" for port in service.get("ports", [])
                   if port.get("host_ip") != "127.0.0.1"]
        faults += [f"{name} mounts {volume['source']}, which is not there" for volume in service.get("volumes", [])
                   if volume["type"] == "bind" and not Path(volume["source"]).exists()]
    results.check("compose.yaml fits together", faults)


def systemd(results, binary):
    unit = DEPLOY / "systemd/shoalmq.service"
    results.check("systemd-analyze security", faults_of(
        "systemd-analyze", "security", "--offline=yes", f"--threshold={EXPOSURE}", "--no-pager", unit))
    # The program has to be there to be verified: any stands in for it.
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, unit.name)
        copy.write_text(re.sub("/usr/local/bin/shoalmq", str(binary or shutil.which("true")), unit.read_text()))
        done = run("systemd-analyze", "verify", copy)
        results.check("systemd-analyze verify", [done.stderr] if done.returncode or unit.name in done.stderr else [])


def texts(results):
    results.check("hadolint", faults_of("hadolint", "--failure-threshold", "style", ROOT / "Dockerfile"))
    scripts = [path for path in sorted(DEPLOY.rglob("*")) if path.is_file() and not path.is_symlink()
               and path.open("rb").readline().startswith((b"#!/bin/sh", b"#!/usr/bin/env bash"))]
    results.check("shellcheck", faults_of("shellcheck", "--severity=warning", *scripts))


def main():
    if sys.argv[1:] == ["--write"]:
        for path, text in MADE.items():
            path.write_text(text())
        return
    binary = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else None
    results = Results()
    made(results)
    missing = [tool for tool in ("kubectl", "systemd-analyze") if not shutil.which(tool)]
    results.check("the tools are there", missing)
    if not missing:
        kustomizations(results)
        systemd(results, binary)
    chart.check(results, DEPLOY / "helm/shoalmq")
    compose(results)
    texts(results)
    zone.check(results, KUBERNETES / "components/zone-from-node/zone.sh")
    if binary:
        image.check(results, binary)
    sys.exit(results.close())


main()
