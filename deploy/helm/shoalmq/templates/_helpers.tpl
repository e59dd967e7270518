{{- define "shoalmq.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* Leaves room for the headless service's suffix and a pod's number. */}}
{{- define "shoalmq.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "shoalmq.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "shoalmq.headless" -}}
{{ include "shoalmq.fullname" . }}-headless
{{- end -}}

{{- define "shoalmq.selector" -}}
app.kubernetes.io/name: {{ include "shoalmq.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "shoalmq.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "shoalmq.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
app.kubernetes.io/part-of: shoalmq
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "shoalmq.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "shoalmq.secret" -}}
{{- .Values.auth.existingSecret | default (include "shoalmq.fullname" .) -}}
{{- end -}}

{{- define "shoalmq.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- .Values.serviceAccount.name | default (include "shoalmq.fullname" .) -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "default" -}}
{{- end -}}
{{- end -}}

{{/* The file that every node reads. `config` comes over what the chart sets, but not over what its other objects rely on. */}}
{{- define "shoalmq.conf" -}}
{{- $fixed := dict "bind" "*" "port" 7711 "http-port" 8711 "dir" "/var/lib/shoalmq" "cluster-join" (include "shoalmq.headless" .) "shutdown-timeout" (int .Values.shutdownTimeout) -}}
{{- range $name := keys .Values.config | sortAlpha -}}
{{- /* Probes, ports and logs of the other objects rest on these. */ -}}
{{- if or (hasKey $fixed $name) (has $name (list "cluster-port" "cluster-announce-host" "http-bind" "logfile" "pidfile")) -}}
{{- fail (printf "config.%s is set by the chart" $name) -}}
{{- end -}}
{{- if has $name (list "requirepass" "cluster-secret") -}}
{{- fail (printf "config.%s would be in a ConfigMap: put it in a Secret, and name that as auth.existingSecret" $name) -}}
{{- end -}}
{{- end -}}
{{- $all := merge $fixed .Values.config (dict "log-format" "json") -}}
{{- if not .Values.auth.enabled -}}
{{- $all = merge $all (dict "protected-mode" "no") -}}
{{- end -}}
{{- range $name := keys $all | sortAlpha }}
{{- $value := get $all $name }}
{{ $name }} {{ if kindIs "float64" $value }}{{ int64 $value }}{{ else if kindIs "bool" $value }}{{ ternary "yes" "no" $value }}{{ else if eq (toString $value) "" }}""{{ else }}{{ $value }}{{ end }}
{{- end }}
{{- end -}}

{{/* How long a pod may take to stop: the hook, the node, and 20 s. */}}
{{- define "shoalmq.gracePeriod" -}}
{{- $needed := add .Values.shutdownTimeout .Values.shutdownTimeout 20 -}}
{{- $given := .Values.terminationGracePeriodSeconds | default $needed -}}
{{- if lt (int64 $given) (int64 $needed) -}}
{{- fail (printf "terminationGracePeriodSeconds %v is too short: shutdownTimeout %v takes %v s, twice itself and 20" $given .Values.shutdownTimeout $needed) -}}
{{- end -}}
{{- $given -}}
{{- end -}}
