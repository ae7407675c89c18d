{{- define "weir.name" -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "weir.selector" -}}
app.kubernetes.io/name: weir
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "weir.labels" -}}
{{ include "weir.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- /* weir.yaml: what the values say, and where the database is. */ -}}
{{- define "weir.config" -}}
{{- $config := deepCopy .Values.config -}}
{{- $server := default dict $config.server -}}
{{- $_ := set $server "drain_timeout" (printf "%ds" (int .Values.drainSeconds)) -}}
{{- $_ := set $config "server" $server -}}
{{- if .Values.database.urlSecret.name -}}
{{- $store := default dict $config.store -}}
{{- $_ := set $store "url" "${WEIR_STORE_URL}" -}}
{{- $_ := set $config "store" $store -}}
{{- end -}}
{{- if .Values.redis.urlSecret.name -}}
{{- $coordination := default dict $config.coordination -}}
{{- $_ := set $coordination "url" "${WEIR_REDIS_URL}" -}}
{{- $_ := set $config "coordination" $coordination -}}
{{- end -}}
{{- toYaml $config -}}
{{- end -}}
