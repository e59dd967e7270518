#!/bin/sh
# Asks for the machine NODE_NAME and writes OUT: the configuration CONFIG, and the zone of the machine if it has one.
# API and ACCOUNT are where Kubernetes and this pod's token are. Ends with an error when the machine cannot be asked for:
# a node that forgot its zone would put two copies of a job into one.
set -eu
: "${API:=https://kubernetes.default.svc}" "${ACCOUNT:=/var/run/secrets/kubernetes.io/serviceaccount}"

node=$(curl --fail --silent --show-error --max-time 10 --retry 5 --retry-connrefused --cacert "$ACCOUNT/ca.crt" \
  --header "Authorization: Bearer $(cat "$ACCOUNT/token")" \
  --header 'Accept: application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1' \
  "$API/api/v1/nodes/$NODE_NAME")
# A label's value holds letters, digits, `-`, `_` and `.`: nothing that would have to be unquoted.
zone=$(printf %s "$node" | tr -d '\n' |
  sed -n 's/.*"topology\.kubernetes\.io\/zone" *: *"\([A-Za-z0-9._-]*\)".*/\1/p')
printf 'include %s\nzone "%s"\n' "$CONFIG" "$zone" > "$OUT"
echo "machine $NODE_NAME, zone ${zone:-(none)}"
