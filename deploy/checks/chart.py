"""The Helm chart: linted and rendered by Helm's own code, with the values of ci/ and with values that must be refused."""

import helm_python as helm
import yaml

import manifests

# What must not come through, and a word of the reason.
REFUSED = [
    ({"replicas": 3}, "replicas"),
    ({"replicaCount": 0}, "replicaCount"),
    ({"image": {"digest": "latest"}}, "digest"),
    ({"persistence": {"size": "much"}}, "size"),
    ({"service": {"ports": {"resp": 70000}}}, "resp"),
    ({"tls": {"enabled": True}}, "tls"),
    ({"config": {"port": 1}}, "config.port"),
    ({"config": {"requirepass": "x"}}, "existingSecret"),
    ({"persistence": {"existingClaim": "old"}}, "existingClaim"),
]


def documents(rendered):
    """The objects of a rendered chart, without its notes."""
    for path, text in sorted(rendered.items()):
        if not path.endswith("NOTES.txt"):
            yield from (thing for thing in yaml.safe_load_all(text) if thing)


def check(results, folder):
    findings = [f"{each}" for each in helm.lint(str(folder)).get("messages", [])
                if str(each.get("severity", "")).upper() in ("WARNING", "ERROR", "2", "3")]
    results.check("helm lint", findings)
    with helm.Chart.load(str(folder)) as chart:
        results.check("the schema knows all values", unknown(chart.values, chart.schema))
        for file in [None, *sorted((folder / "ci").iterdir())]:
            what = f"the chart with {file.name if file else 'its defaults'}"
            values = yaml.safe_load(file.read_text()) if file else {}
            try:
                objects = list(documents(chart.render(values, name="shoal", namespace="queues")))
            except helm.HelmError as error:
                results.check(f"{what} renders", [error])
                continue
            results.check(f"{what} is valid", manifests.invalid(objects))
            results.check(f"{what} fits together", list(manifests.inconsistent(objects)))
        for values, reason in REFUSED:
            results.check(f"the chart refuses {values}", accepted(chart, values, reason))


def accepted(chart, values, reason):
    try:
        chart.validate_schema(values)
        chart.render(values, name="shoal", namespace="queues")
    except helm.HelmError as error:
        return [] if reason in str(error) else [f"for another reason: {error}"]
    return ["it is rendered"]


def unknown(values, schema, path=""):
    """Values that the schema says nothing of."""
    known = schema.get("properties")
    if known is None or not isinstance(values, dict):
        return []
    return [f"{path}{name}" for name in values if name not in known] + [
        fault for name, value in values.items() if name in known for fault in unknown(value, known[name], f"{path}{name}.")]
