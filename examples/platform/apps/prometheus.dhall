{-| Metrics and alerts. The alerts' annotations hold Prometheus' own templates, which Helm must leave alone.
-}
let k = ../schema/package.dhall

let Environment = ../environments/Environment.dhall

let names = ../lib/names.dhall

let network = ../lib/network.dhall

let probes = ../lib/probes.dhall

let resources = ../lib/resources.dhall

let meta = ../lib/meta.dhall

let stateful = ../lib/stateful.dhall

let namespace = names.namespaces.observability

let config =
      \(env : Environment.Type) ->
        ''
        global:
          scrape_interval: 30s
          evaluation_interval: 30s
          external_labels:
            environment: ${env.name}
        rule_files:
          - /etc/config/rules.yaml
        scrape_configs:
          - job_name: pods
            kubernetes_sd_configs:
              - role: endpointslice
            relabel_configs:
              - source_labels: [__meta_kubernetes_endpointslice_port_name]
                regex: metrics
                action: keep
              - source_labels: [__meta_kubernetes_namespace]
                target_label: namespace
              - source_labels: [__meta_kubernetes_service_name]
                target_label: service
        ''

let rules =
      ''
      groups:
        - name: availability
          rules:
            - alert: TargetDown
              expr: up == 0
              for: 5m
              labels:
                severity: page
              annotations:
                summary: '{{ $labels.service }} in {{ $labels.namespace }} is down'
      ''

let server =
      \(env : Environment.Type) ->
        stateful.Stateful::{
        , name = "prometheus"
        , namespace
        , component = "metrics"
        , image =
          { repository = "mirror/prometheus/prometheus"
          , tag = "v3.5.0"
          , digest =
              "245e7df874f12f82a3f598a138af656ab220642f40013d372acfc8b5223c63ed"
          }
        , args = Some
          [ "--config.file=/etc/config/prometheus.yaml"
          , "--storage.tsdb.path=/prometheus"
          , "--storage.tsdb.retention.time=${env.metricsRetention}"
          , "--web.enable-lifecycle=false"
          ]
        , files = toMap { `prometheus.yaml` = config env, `rules.yaml` = rules }
        , dataPath = "/prometheus"
        , storage = if env.highAvailability then "100Gi" else "10Gi"
        , port = 9090
        , portName = "http"
        , probe = probes.http "/-/ready" "http"
        , replicas = if env.highAvailability then 2 else 1
        , user = 65534
        , resources =
            if env.highAvailability then resources.large else resources.medium
        , calls =
          [ { to = Some
              [ k.NetworkPolicy.Peer::{
                , namespaceSelector = Some k.LabelSelector::{=}
                }
              ]
            , ports = Some [ network.port 9090, network.port 10254 ]
            }
          , network.internet [ 443, 6443 ]
          ]
        }

in  \(env : Environment.Type) ->
      let spec = server env

      let metadata = meta namespace spec.name (stateful.describe spec)

      let cluster = metadata // { namespace = None Text }

      in    stateful.objects env spec
          # [ k.Object.ClusterRole
                k.ClusterRole::{
                , metadata = cluster
                , rules =
                  [ k.PolicyRule::{
                    , apiGroups = [ "" ]
                    , resources = [ "services", "pods" ]
                    , verbs = [ "get", "list", "watch" ]
                    }
                  , k.PolicyRule::{
                    , apiGroups = [ "discovery.k8s.io" ]
                    , resources = [ "endpointslices" ]
                    , verbs = [ "get", "list", "watch" ]
                    }
                  ]
                }
            , k.Object.ClusterRoleBinding
                k.ClusterRoleBinding::{
                , metadata = cluster
                , subjects =
                  [ { kind = "ServiceAccount", name = spec.name, namespace } ]
                , roleRef =
                  { apiGroup = "rbac.authorization.k8s.io"
                  , kind = "ClusterRole"
                  , name = spec.name
                  }
                }
            , k.Object.PrometheusRule
                k.PrometheusRule::{
                , metadata = metadata // { name = "platform" }
                , spec.groups
                  =
                  [ { name = "platform"
                    , interval = "1m"
                    , rules =
                      [ { alert = "CertificateExpiresSoon"
                        , expr =
                            "certmanager_certificate_expiration_timestamp_seconds - time() < 7 * 86400"
                        , for = "1h"
                        , labels = toMap { severity = "ticket" }
                        , annotations = toMap
                            { summary =
                                "Certificate {{ \$labels.name }} expires in {{ \$value | humanizeDuration }}"
                            }
                        }
                      , { alert = "SourceNotVerified"
                        , expr =
                            "gotk_resource_info{ready=\"False\",customresource_kind=\"OCIRepository\"} == 1"
                        , for = "10m"
                        , labels = toMap { severity = "page" }
                        , annotations = toMap
                            { summary =
                                "Flux refuses {{ \$labels.exported_namespace }}/{{ \$labels.name }}"
                            }
                        }
                      ]
                    }
                  ]
                }
            ]
