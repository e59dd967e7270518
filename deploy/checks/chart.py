"""The Helm chart: linted and rendered by Helm's own code, with the values of ci/ and with values that must be refused."""

import helm_python as helm
import yaml

import manifests

# What must not come through, and a word of the reason.
REFUSED = [
    ({"replicas": 3}, "replicas"),
    ({"replicaCount": -1}, "replicaCount"),
    ({"image": {"digest": "latest"}}, "digest"),
    ({"persistence": {"size": "much"}}, "size"),
    ({"service": {"ports": {"resp": 70000}}}, "resp"),
    ({"tls": {"enabled": True}}, "tls"),
    ({"config": {"port": 1}}, "config.port"),
    ({"config": {"cluster-port": 7000}}, "config.cluster-port"),
    ({"config": {"http-bind": "127.0.0.1"}}, "config.http-bind"),
    ({"config": {"logfile": "/var/log/x"}}, "config.logfile"),
    ({"config": {"pidfile": "x"}}, "config.pidfile"),
    ({"config": {"requirepass": "x"}}, "existingSecret"),
    ({"terminationGracePeriodSeconds": 99}, "too short"),
    ({"shutdownTimeout": 200, "terminationGracePeriodSeconds": 400}, "takes 420 s"),
    ({"networkPolicy": {"clientCidrs": ["everywhere"]}}, "clientCidrs"),
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
        results.check("values do what they say", list(effects(chart)))
        for values, reason in REFUSED:
            results.check(f"the chart refuses {values}", accepted(chart, values, reason))


def effects(chart):
    """What single values must bring about."""
    def one(kind, name, values):
        objects = documents(chart.render(values, name="shoal", namespace="queues"))
        return next(thing for thing in objects if (thing["kind"], thing["metadata"]["name"]) == (kind, name))

    name = "shoal-shoalmq"
    conf = one("ConfigMap", name, {"config": {"zone": "", "maxmemory": "2gb"}})["data"]["shoalmq.conf"].splitlines()
    if not {'zone ""', "maxmemory 2gb"} <= set(conf):
        yield f"an empty word is lost: {conf}"
    values = {"service": {"type": "LoadBalancer"}, "networkPolicy": {"clientCidrs": ["192.0.2.0/24"]}, "metrics": {"enabled": False}}
    ingress = one("NetworkPolicy", name, values)["spec"]["ingress"]
    if {"ipBlock": {"cidr": "192.0.2.0/24"}} not in ingress[0]["from"]:
        yield "clientCidrs are no clients"
    if not any("keda" in str(rule["from"]) for rule in ingress):
        yield "without metrics KEDA is kept out"
    if "WARNING" not in notes(chart, {"service": {"type": "NodePort"}}) or "WARNING" in notes(chart, values):
        yield "the notes do not tell of clients that are kept out"
    rule = one("PrometheusRule", name, {"metrics": {"prometheusRule": {"enabled": True, "runbookBase": "https://git.example.com/"}}})
    urls = [each["annotations"]["runbook_url"] for group in rule["spec"]["groups"] for each in group["rules"] if "alert" in each]
    if not all(url.startswith("https://git.example.com/docs/operations/runbook.md#") for url in urls):
        yield f"runbooks are elsewhere: {urls[0]}"
    values = {"image": {"pullSecrets": [{"name": "pull"}]}, "nodeSelector": {"disk": "ssd"}, "tolerations": [{"operator": "Exists"}]}
    spec = one("Pod", f"{name}-test", values)["spec"]
    if not all(spec.get(key) for key in ("imagePullSecrets", "nodeSelector", "tolerations")):
        yield "the test's pod may not start where the nodes do"
    if one("Secret", name, {})["metadata"]["annotations"].get("helm.sh/resource-policy") != "keep":
        yield "the secret goes with the release, and the volumes stay"
    if one("StatefulSet", name, {"replicaCount": 0})["spec"]["replicas"] != 0:
        yield "a cluster cannot be stopped"
    for kind, monitor, part in (("ServiceMonitor", "serviceMonitor", "endpoints"), ("PodMonitor", "podMonitor", "podMetricsEndpoints")):
        endpoint = one(kind, name, {"metrics": {monitor: {"enabled": True}}})["spec"][part][0]
        if "instance" not in [each.get("targetLabel") for each in endpoint["relabelings"]]:
            yield f"{kind}: nodes are known by their addresses"


def notes(chart, values):
    rendered = chart.render(values, name="shoal", namespace="queues")
    return next(text for path, text in rendered.items() if path.endswith("NOTES.txt"))


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
