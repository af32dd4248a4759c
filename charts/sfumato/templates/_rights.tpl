{{/* What the operator may do in the namespaces that it looks after: what `sfu-operator manifests` prints. */}}
{{- define "sfumato.rules" -}}
{{- $rights := .Files.Get "files/rights.yaml" | fromYaml -}}
{{- $rules := $rights.clusters -}}
{{- if eq .Values.nodeAccess "proxy" -}}
{{- $rules = concat $rules $rights.proxy -}}
{{- end -}}
{{ toYaml $rules }}
{{- end -}}
