{{- define "observer.selector" -}}
app.kubernetes.io/name: observer
{{- if ne .Release.Name "observer" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}
{{- end -}}

{{- define "observer.labels" -}}
{{ include "observer.selector" . }}
{{- end -}}

{{- define "observer.name" -}}
{{ .Release.Name | trunc 63 | trimSuffix "-" }}
{{- end -}}
