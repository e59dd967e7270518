"""Reads dashboards and rules: which panels and queries there are, and which metrics those name."""

import json
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent

# What Prometheus adds to each series, what histograms have, and what it makes itself.
OWN_LABELS = {"job", "instance"}
OWN_METRICS = {"up": set(), "ALERTS": {"alertname", "alertstate", "severity", "queue"}}
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SELECTOR = re.compile(rf"(?<![\w$\"])({NAME})\s*(\{{[^}}]*\}})?")
# Words of PromQL that may stand where the name of a metric may.
WORDS = set(
    "sum min max count avg group topk by on without and or unless group_left group_right offset bool rate increase delta deriv "
    "predict_linear histogram_quantile abs time vector last_over_time".split()
)


def contract():
    """Every metric of metrics.txt: its type and its labels."""
    metrics = {}
    for line in (HERE / "metrics.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, kind, labels = line.split()
            metrics[name] = (kind, set() if labels == "-" else set(labels.split(",")))
    return metrics


def dashboards():
    """The dashboards in the order in which people meet them."""
    files = {path.stem: json.loads(path.read_text()) for path in (HERE / "dashboards").glob("*.json")}
    order = ["overview", "queue", "cluster", "node", "clients", "topics"]
    return {name: files[name] for name in sorted(files, key=lambda name: (order + [name]).index(name))}


def queries(dashboard):
    """Every query of a dashboard: where it is, and its expression."""
    for panel in dashboard["panels"]:
        for target in panel["targets"]:
            yield f"{dashboard['title']} / {panel['title']} {target['refId']}", target["expr"]
    for annotation in dashboard["annotations"]["list"]:
        yield f"{dashboard['title']} / annotation {annotation['name']}", annotation["expr"]


def filled(expression, job, interval):
    """The expression as Grafana would send it with all nodes and queues chosen."""
    for name, value in (("$__rate_interval", interval), ("$job", job), ("$instance", ".*"), ("$queue", ".*")):
        expression = expression.replace(name, value)
    return expression


def selectors(expression):
    """The metrics that an expression names, each with its selector; Grafana's variables may still be in it."""
    # Lists of labels, ranges and offsets hold no metrics, but look like names.
    text = re.sub(r"\b(by|on|without|group_left|group_right)\s*\([^)]*\)", r"\1", expression)
    text = re.sub(r"\[[^\]]*\]|\boffset\s+\w+", "", text)
    for found in SELECTOR.finditer(text):
        name, braces = found[1], found[2] or ""
        if name not in WORDS and not text[found.end():].startswith("("):
            yield name, braces


def labels_of(expression):
    """Labels by which an expression selects nothing, but groups."""
    for listed in re.findall(r"\b(?:by|on)\s*\(([^)]*)\)", expression):
        yield from (label.strip() for label in listed.split(",") if label.strip())
