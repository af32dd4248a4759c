{{/* Name of all objects: it carries the release's. */}}
{{- define "sfumato.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := printf "%s-%s" .Release.Name $name -}}
{{- if .Values.fullnameOverride -}}
{{- $full = .Values.fullnameOverride -}}
{{- else if contains $name .Release.Name -}}
{{- $full = .Release.Name -}}
{{- end -}}
{{- $wanted := "set fullnameOverride to a name of at most 40 lower-case letters, digits and `-` that begins with a letter" -}}
{{- /* Not cut: two releases with long names would share one. */ -}}
{{- if gt (len $full) 40 -}}
{{- fail (printf "the operator would be called %q, which has %d characters: %s" $full (len $full) $wanted) -}}
{{- end -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]*[a-z0-9])?$" $full) -}}
{{- fail (printf "the operator would be called %q: %s" $full $wanted) -}}
{{- end -}}
{{- $full -}}
{{- end -}}

{{/* Name of what belongs to no namespace: releases of the same name in two namespaces must not share it. */}}
{{- define "sfumato.clusterName" -}}
{{- printf "%s:%s" .Release.Namespace (include "sfumato.fullname" .) -}}
{{- end -}}

{{- define "sfumato.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "sfumato.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- required "serviceAccount.name: name the ServiceAccount to use, or set serviceAccount.create" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{/* The name is not the chart's: the NetworkPolicies of clusters let pods with it reach the nodes. */}}
{{- define "sfumato.selectorLabels" -}}
app.kubernetes.io/name: sfu-operator
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "sfumato.labels" -}}
{{ include "sfumato.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Labels that select the metrics of this release's pods: those that Prometheus adds by the ServiceMonitor. */}}
{{- define "sfumato.ofThisRelease" -}}
namespace="{{ .Release.Namespace }}",job="{{ include "sfumato.fullname" . }}-metrics"
{{- end -}}

{{/* An image: (dict "image" VALUES "root" $). Nothing where no repository is named. */}}
{{- define "sfumato.image" -}}
{{- if .image.repository -}}
{{- with .root.Values.registry }}{{ . }}/{{ end -}}
{{- if .image.digest -}}
{{- printf "%s@%s" .image.repository .image.digest -}}
{{- else -}}
{{- printf "%s:%s" .image.repository (default .root.Chart.AppVersion .image.tag) -}}
{{- end -}}
{{- end -}}
{{- end -}}
