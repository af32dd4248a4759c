{{- define "sfumato-cluster.name" -}}
{{- $name := default .Release.Name .Values.nameOverride -}}
{{- if not (regexMatch "^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$" $name) -}}
{{- fail (printf "the SfuCluster would be called %q: set nameOverride to a name of at most 40 of a-z, 0-9 and `-` that begins with a letter" $name) -}}
{{- end -}}
{{- $name -}}
{{- end -}}

{{- define "sfumato-cluster.labels" -}}
app.kubernetes.io/part-of: sfumato
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* What clients of WHIP and WHEP ask for, and the place of the player of one stream; where the page is wanted, everything. */}}
{{- define "sfumato-cluster.paths" -}}
{{- if .page -}}
{{- list "/" | toJson -}}
{{- else -}}
{{- list "/whip" "/whep" "/nodes" "/watch" | toJson -}}
{{- end -}}
{{- end -}}

{{/* Port of the front door's Service. */}}
{{- define "sfumato-cluster.port" -}}
{{- dig "web" "service" "port" 2020 .Values.spec -}}
{{- end -}}

{{/* What the front door speaks. */}}
{{- define "sfumato-cluster.scheme" -}}
{{- ternary "https" "http" (not (empty (dig "web" "tls" dict .Values.spec))) -}}
{{- end -}}
