"""How Kubernetes would run a pod: out of the manifests themselves, so that what is tested is what is installed."""

import re
import subprocess

import yaml


class Manifest:
    """The StatefulSet of a kustomization, and the configuration that it mounts."""

    def __init__(self, folder, secrets):
        rendered = subprocess.run(["kubectl", "kustomize", folder], capture_output=True, text=True, check=True).stdout
        objects = [thing for thing in yaml.safe_load_all(rendered) if thing]
        self.secrets = secrets
        (stateful_set,) = [thing for thing in objects if thing["kind"] == "StatefulSet"]
        self.name = stateful_set["metadata"]["name"]
        self.service = stateful_set["spec"]["serviceName"]
        self.replicas = stateful_set["spec"]["replicas"]
        self.namespace = stateful_set["metadata"].get("namespace", "default")
        spec = stateful_set["spec"]["template"]["spec"]
        self.user = spec["securityContext"]["runAsUser"]
        self.grace = spec["terminationGracePeriodSeconds"]
        self.container = spec["containers"][0]
        self.files = self.mounted(objects, spec)
        self.pre_stop = self.container["lifecycle"]["preStop"]["exec"]["command"]

    def mounted(self, objects, spec):
        """Path -> text of all that comes from ConfigMaps."""
        maps = {thing["metadata"]["name"]: thing["data"] for thing in objects if thing["kind"] == "ConfigMap"}
        sources = {volume["name"]: maps[volume["configMap"]["name"]] for volume in spec["volumes"] if "configMap" in volume}
        return {f"{mount['mountPath']}/{name}": text for mount in self.container["volumeMounts"]
                for name, text in sources.get(mount["name"], {}).items()}

    @property
    def data(self):
        """Where the volume is mounted."""
        return next(mount["mountPath"] for mount in self.container["volumeMounts"] if mount["name"] == "data")

    @property
    def deadline(self):
        """`shutdown-timeout`."""
        return int(re.search(r"^shutdown-timeout (\d+)$", "\n".join(self.files.values()), re.M)[1])

    def environment(self, pod, address, zone):
        fields = {"metadata.name": pod, "metadata.namespace": self.namespace, "status.podIP": address,
                  "metadata.labels['topology.kubernetes.io/zone']": zone}
        values = {}
        for variable in self.container["env"]:
            source = variable.get("valueFrom", {})
            if "fieldRef" in source:
                value = fields[source["fieldRef"]["fieldPath"]]
            elif "secretKeyRef" in source:
                value = self.secrets[source["secretKeyRef"]["key"]]
            else:
                value = re.sub(r"\$\((\w+)\)", lambda match: values[match[1]], variable["value"])
            values[variable["name"]] = value
        return values

    def probe(self, kind):
        """The path and the port of a probe."""
        request = self.container[f"{kind}Probe"]["httpGet"]
        port = next(port["containerPort"] for port in self.container["ports"] if port["name"] == request["port"])
        return request["path"], port
