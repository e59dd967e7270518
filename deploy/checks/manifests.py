"""What the objects of one installation must be: valid, well restricted, and at one with each other."""

import kubernetes_validate

VERSIONS = [f"1.{minor}" for minor in range(28, 35)]
# Of operators: their schemas are not among those of Kubernetes.
CUSTOM = {"monitoring.coreos.com/v1", "keda.sh/v1alpha1", "cert-manager.io/v1"}
# A stop has this long after the deadlines of the hook and of the node.
AFTER_THE_DEADLINE = 20
# What `/api/v1/queues/NAME` tells in numbers: what a scaler can go by.
FIGURES = {"ready", "active", "delayed", "dead", "restored", "oldest", "consumers", "in", "out"}
# The label of clients, whatever else they have.
CLIENT = "shoalmq-client"


def invalid(objects):
    """What the schemas of every version say."""
    found = []
    for version in VERSIONS:
        for thing in objects:
            if thing["apiVersion"] in CUSTOM:
                continue
            try:
                kubernetes_validate.validate(thing, version, strict=True)
            except kubernetes_validate.ValidationError as error:
                found.append(f"{name(thing)} in {version}: {error.message} at {list(error.path)}")
            except (kubernetes_validate.SchemaNotFoundError, kubernetes_validate.VersionNotSupportedError) as error:
                found.append(f"{name(thing)} in {version}: {error}")
    return found


def inconsistent(objects):
    """What does not fit together."""
    return [*unique(objects), *custom(objects), *pods(objects), *selections(objects), *policies(objects),
            *stateful_sets(objects)]


def name(thing):
    return f"{thing['kind']} {thing['metadata']['name']}"


def of_kind(objects, *kinds):
    return [thing for thing in objects if thing["kind"] in kinds]


def templates(objects):
    """Each pod that the objects make, with the name of what makes it."""
    for thing in of_kind(objects, "StatefulSet", "Deployment", "Job"):
        yield name(thing), thing["spec"]["template"]
    for thing in of_kind(objects, "Pod"):
        yield name(thing), thing


def unique(objects):
    keys = [(thing["kind"], thing["metadata"].get("namespace"), thing["metadata"]["name"]) for thing in objects]
    return [f"twice: {key}" for key in sorted(set(keys), key=str) if keys.count(key) > 1]


def custom(objects):
    """Of custom objects only what makes them useless: no schema is at hand."""
    for thing in objects:
        if thing["apiVersion"] in CUSTOM and not thing.get("spec"):
            yield f"{name(thing)} says nothing"
    for scaler in of_kind(objects, "ScaledObject"):
        for trigger in scaler["spec"]["triggers"]:
            asked = trigger["metadata"]
            if trigger["type"] != "metrics-api":
                continue
            if "/api/v1/queues/" not in asked["url"] or not asked["url"].endswith("?global=true"):
                yield f"{name(scaler)} does not ask for a queue of the whole cluster: {asked['url']}"
            if asked["valueLocation"] not in FIGURES:
                yield f"{name(scaler)} goes by {asked['valueLocation']}, which is none of {sorted(FIGURES)}"


def pods(objects):
    """The restricted level of Pod Security, and that what a pod mounts and names is there."""
    for owner, template in templates(objects):
        spec = template["spec"]
        of_pod = spec.get("securityContext", {})
        if spec.get("automountServiceAccountToken") is not False:
            yield f"{owner} mounts a token"
        if spec.get("enableServiceLinks") is not False:
            yield f"{owner} lets services into its environment"
        if any(spec.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")):
            yield f"{owner} is in a namespace of the machine"
        volumes = {volume["name"] for volume in spec.get("volumes", [])} | claims(objects, owner)
        for volume in spec.get("volumes", []):
            if "hostPath" in volume:
                yield f"{owner} mounts a folder of the machine"
            source = volume.get("configMap", {}).get("name")
            if source and source not in {thing["metadata"]["name"] for thing in of_kind(objects, "ConfigMap")}:
                yield f"{owner} mounts the ConfigMap {source}, which is nowhere"
        for container in spec.get("initContainers", []) + spec["containers"]:
            who = f"{owner}, {container['name']}"
            own = container.get("securityContext", {})
            if own.get("allowPrivilegeEscalation") is not False:
                yield f"{who} may gain privileges"
            if own.get("capabilities", {}).get("drop") != ["ALL"] or own.get("capabilities", {}).get("add"):
                yield f"{who} has capabilities"
            if own.get("readOnlyRootFilesystem") is not True:
                yield f"{who} may write to its root"
            if not own.get("runAsNonRoot", of_pod.get("runAsNonRoot")):
                yield f"{who} may be root"
            if own.get("runAsUser", of_pod.get("runAsUser")) == 0:
                yield f"{who} is root"
            if own.get("seccompProfile", of_pod.get("seccompProfile", {})).get("type") not in ("RuntimeDefault", "Localhost"):
                yield f"{who} has no seccomp profile"
            resources = container.get("resources", {})
            if resources.get("limits", {}).get("memory") != resources.get("requests", {}).get("memory", "nothing"):
                yield f"{who} asks for another amount of memory than it may have"
            if "cpu" in resources.get("limits", {}):
                yield f"{who} has a limit of CPU"
            for mount in container.get("volumeMounts", []):
                if mount["name"] not in volumes:
                    yield f"{who} mounts {mount['name']}, which is nowhere"
            ports = {port["name"] for port in container.get("ports", [])}
            for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
                port = container.get(probe, {}).get("httpGet", {}).get("port")
                if port is not None and port not in ports:
                    yield f"{who}: no port {port} for its {probe}"


def claims(objects, owner):
    for thing in of_kind(objects, "StatefulSet"):
        if name(thing) == owner:
            return {claim["metadata"]["name"] for claim in thing["spec"].get("volumeClaimTemplates", [])}
    return set()


def matches(selector, labels):
    return bool(selector) and all(labels.get(key) == value for key, value in selector.items())


def selects(selector, labels):
    """Whether a selector with labels and expressions takes a pod with these labels; an empty one takes all."""
    def holds(expression):
        value, values = labels.get(expression["key"]), expression.get("values", [])
        return {"In": value in values, "NotIn": value not in values, "Exists": value is not None,
                "DoesNotExist": value is None}[expression["operator"]]
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items()) and all(
        holds(expression) for expression in selector.get("matchExpressions", []))


def selections(objects):
    """That services, budgets and policies select the nodes, and name ports that these have."""
    nodes = [thing["spec"]["template"] for thing in of_kind(objects, "StatefulSet")]
    labels = [node["metadata"]["labels"] for node in nodes]
    ports = {port["name"]: port for node in nodes for port in node["spec"]["containers"][0]["ports"]}
    for thing in of_kind(objects, "Service"):
        if not any(matches(thing["spec"]["selector"], each) for each in labels):
            yield f"{name(thing)} selects nothing"
        for port in thing["spec"]["ports"]:
            target = ports.get(port["targetPort"])
            if not target or target.get("protocol", "TCP") != port.get("protocol", "TCP"):
                yield f"{name(thing)}: no port {port['targetPort']} of its protocol"
    for thing in of_kind(objects, "PodDisruptionBudget"):
        if not any(matches(thing["spec"]["selector"].get("matchLabels"), each) for each in labels):
            yield f"{name(thing)} selects nothing"
    for thing in of_kind(objects, "NetworkPolicy"):
        if not any(matches(thing["spec"]["podSelector"].get("matchLabels"), each) for each in labels):
            yield f"{name(thing)} selects nothing"
    services = of_kind(objects, "Service")
    for thing in of_kind(objects, "ServiceMonitor"):
        selected = [each for each in services
                    if matches(thing["spec"]["selector"]["matchLabels"], each["metadata"]["labels"])]
        if len(selected) != 1:
            yield f"{name(thing)} selects {len(selected)} services: each pod is to be asked once"
        for endpoint in thing["spec"]["endpoints"]:
            if selected and endpoint["port"] not in {port["name"] for port in selected[0]["spec"]["ports"]}:
                yield f"{name(thing)}: no port {endpoint['port']}"


def policies(objects):
    """That a network policy lets pass what has to: clients, the nodes to each other, and to names."""
    nodes = [thing["spec"]["template"] for thing in of_kind(objects, "StatefulSet")]
    for thing in of_kind(objects, "NetworkPolicy"):
        ingress, egress = thing["spec"]["ingress"], thing["spec"]["egress"]
        for port in ("resp", "http"):
            if not passes(ingress, "from", {CLIENT: "true"}, port, elsewhere=True):
                yield f"{name(thing)}: a client with the label {CLIENT} alone cannot reach the port {port}"
        if passes(ingress, "from", {}, "resp", elsewhere=True):
            yield f"{name(thing)}: anybody reaches the port resp"
        for node in nodes:
            labels = node["metadata"]["labels"]
            for protocol in ("TCP", "UDP"):
                if not passes(ingress, "from", labels, 17711, protocol) or not passes(egress, "to", labels, 17711, protocol):
                    yield f"{name(thing)}: nodes cannot reach each other by {protocol}"
                if not passes(egress, "to", None, 53, protocol):
                    yield f"{name(thing)}: nodes cannot ask for names by {protocol}"
            asks = [volume["name"] for volume in node["spec"].get("volumes", [])
                    for source in volume.get("projected", {}).get("sources", []) if "serviceAccountToken" in source]
            for port in (443, 6443):
                if asks and not passes(egress, "to", None, port):
                    yield f"{name(thing)}: who mounts {asks[0]} cannot reach the API of Kubernetes at {port}"


def passes(rules, side, labels, port, protocol="TCP", elsewhere=False):
    """Whether some rule lets this through: for a pod with these labels, of another namespace or of the policy's own; without
    labels, for anybody."""
    def is_meant(peer):
        return (labels is not None and "podSelector" in peer and selects(peer["podSelector"], labels)
                and (peer.get("namespaceSelector") == {} or not elsewhere and "namespaceSelector" not in peer))

    def is_open(each):
        return each.get("port") == port and each.get("protocol", "TCP") == protocol
    return any((side not in rule or any(map(is_meant, rule[side]))) and ("ports" not in rule or any(map(is_open, rule["ports"])))
               for rule in rules)


def configuration(objects, node):
    """The directives of the file that a node starts with."""
    source = next(volume["configMap"]["name"] for volume in node["spec"]["volumes"] if volume["name"] == "config")
    data = next(thing["data"] for thing in of_kind(objects, "ConfigMap") if thing["metadata"]["name"] == source)
    lines = [line.split(None, 1) for line in data["shoalmq.conf"].splitlines() if line and not line.startswith("#")]
    return {words[0]: words[1] for words in lines}


def stateful_sets(objects):
    for thing in of_kind(objects, "StatefulSet"):
        spec, who = thing["spec"], name(thing)
        if spec.get("podManagementPolicy") != "Parallel":
            yield f"{who} starts its pods one by one"
        services = {each["metadata"]["name"]: each["spec"] for each in of_kind(objects, "Service")}
        headless = services.get(spec["serviceName"], {})
        if headless.get("clusterIP") != "None" or headless.get("publishNotReadyAddresses") is not True:
            yield f"{who}: {spec['serviceName']} does not tell of all its pods"
        directives = configuration(objects, spec["template"])
        if directives.get("cluster-join", "").split(".")[0] != spec["serviceName"]:
            yield f"{who}: nodes look for each other at {directives.get('cluster-join')}"
        hook = spec["template"]["spec"]["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
        drain = int(hook[-1].removeprefix("--timeout="))
        deadline = drain + int(directives["shutdown-timeout"]) + AFTER_THE_DEADLINE
        if spec["template"]["spec"]["terminationGracePeriodSeconds"] < deadline:
            yield f"{who}: a stop may take {deadline} s, and is killed before"
        container = spec["template"]["spec"]["containers"][0]
        for port, directive in ((7711, "port"), (8711, "http-port")):
            if int(directives.get(directive, 0)) != port or port not in {each["containerPort"] for each in container["ports"]}:
                yield f"{who}: {directive} is {directives.get(directive)}"
        for variable in container["env"]:
            if any(word in variable["name"] for word in ("REQUIREPASS", "SECRET")) and "value" in variable:
                yield f"{who}: {variable['name']} is in the open"
