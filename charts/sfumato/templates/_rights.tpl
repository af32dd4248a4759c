{{/* What it may do in its own namespace: its Lease has the name of the installation. */}}
{{- define "sfumato.ownRules" -}}
{{- $rules := list -}}
{{- range (.Files.Get "files/rights.yaml" | fromYaml).own -}}
{{- $rule := . -}}
{{- if .resourceNames -}}
{{- $rule = mergeOverwrite (deepCopy .) (dict "resourceNames" (list (include "sfumato.fullname" $))) -}}
{{- end -}}
{{- $rules = append $rules $rule -}}
{{- end -}}
{{ toYaml $rules }}
{{- end -}}

{{/* What the operator may do in the namespaces that it looks after: what `sfu-operator manifests` prints. */}}
{{- define "sfumato.rules" -}}
{{- $rights := .Files.Get "files/rights.yaml" | fromYaml -}}
{{- $rules := $rights.clusters -}}
{{- if eq .Values.nodeAccess "proxy" -}}
{{- $rules = concat $rules $rights.proxy -}}
{{- end -}}
{{ toYaml $rules }}
{{- end -}}
