{-| The ingress controller: all traffic from outside comes through it.
-}
let k = ../schema/package.dhall

let Environment = ../environments/Environment.dhall

let list = ../lib/list.dhall

let names = ../lib/names.dhall

let network = ../lib/network.dhall

let resources = ../lib/resources.dhall

let meta = ../lib/meta.dhall

let workload = ../lib/workload.dhall

let labels = ../lib/labels.dhall

let namespace = names.namespaces.ingress

let controller =
      \(env : Environment.Type) ->
        workload.Workload::{
        , name = "ingress-nginx"
        , namespace
        , component = "controller"
        , image =
          { repository = "mirror/ingress-nginx/controller"
          , tag = "v1.13.3"
          , digest =
              "85eff8ae55d252ede52799eefe2695487c25735740c40a42e497e972a26b851f"
          }
        , args = Some
          [ "/nginx-ingress-controller"
          , "--election-id=ingress-nginx-leader"
          , "--controller-class=acme.example/${names.ingressClass}"
          , "--ingress-class=${names.ingressClass}"
          , "--configmap=\$(POD_NAMESPACE)/ingress-nginx"
          , "--default-ssl-certificate=\$(POD_NAMESPACE)/wildcard-tls"
          , "--http-port=8080"
          , "--https-port=8443"
          ]
        , env =
          [ k.EnvVar::{
            , name = "POD_NAMESPACE"
            , valueFrom = Some k.EnvVar.Source::{
              , fieldRef = Some { fieldPath = "metadata.namespace" }
              }
            }
          ]
        , settings = toMap
            { hide-headers = "Server,X-Powered-By"
            , hsts-max-age = "31536000"
            , log-format-escape-json = "true"
            , log-format-upstream =
                ''
                {"time":"$time_iso8601","status":"$status","request_id":"$req_id","host":"$host","latency":"$request_time"}
                ''
            , ssl-protocols = "TLSv1.3"
            , use-forwarded-headers = "false"
            }
        , metricsPort = 10254
        , replicas = env.replicas
        , maxReplicas = Some env.maxReplicas
        , resources = resources.medium
        , callers =
          [ k.NetworkPolicy.Peer::{
            , ipBlock = Some { cidr = "0.0.0.0/0", except = None (List Text) }
            }
          ]
        , calls =
          [ network.to
              [ k.NetworkPolicy.Peer::{
                , namespaceSelector = Some k.LabelSelector::{
                  , matchLabels = Some
                      ( toMap
                          { `kubernetes.io/metadata.name` =
                              names.namespaces.shop
                          }
                      )
                  }
                }
              ]
              [ 8080 ]
          , network.internet [ 443, 6443 ]
          ]
        , automountToken = True
        }

let rule =
      \(groups : List Text) ->
      \(things : List Text) ->
      \(verbs : List Text) ->
        k.PolicyRule::{ apiGroups = groups, resources = things, verbs }

let read = [ "get", "list", "watch" ]

in  \(env : Environment.Type) ->
      let spec = controller env

      let metadata = meta namespace spec.name (workload.describe spec)

      let cluster = metadata // { namespace = None Text }

      let subject = { kind = "ServiceAccount", name = spec.name, namespace }

      in    workload.objects env spec
          # [ k.Object.IngressClass
                k.IngressClass::{
                , metadata = k.ObjectMeta::{
                  , name = names.ingressClass
                  , annotations = Some
                      ( toMap
                          { `ingressclass.kubernetes.io/is-default-class` =
                              "true"
                          }
                      )
                  }
                , spec.controller = "acme.example/${names.ingressClass}"
                }
            , k.Object.ClusterRole
                k.ClusterRole::{
                , metadata = cluster
                , rules =
                  [ rule [ "" ] [ "services", "namespaces" ] read
                  , rule [ "discovery.k8s.io" ] [ "endpointslices" ] read
                  , rule
                      [ "networking.k8s.io" ]
                      [ "ingresses", "ingressclasses" ]
                      read
                  , rule
                      [ "networking.k8s.io" ]
                      [ "ingresses/status" ]
                      [ "update" ]
                  ]
                }
            , k.Object.ClusterRoleBinding
                k.ClusterRoleBinding::{
                , metadata = cluster
                , subjects = [ subject ]
                , roleRef =
                  { apiGroup = "rbac.authorization.k8s.io"
                  , kind = "ClusterRole"
                  , name = spec.name
                  }
                }
            , k.Object.Role
                k.Role::{
                , metadata
                , rules =
                  [ rule [ "" ] [ "configmaps", "pods", "secrets" ] read
                  , rule
                      [ "coordination.k8s.io" ]
                      [ "leases" ]
                      (read # [ "create", "update" ])
                  , rule [ "" ] [ "events" ] [ "create", "patch" ]
                  ]
                }
            , k.Object.RoleBinding
                k.RoleBinding::{
                , metadata
                , subjects = [ subject ]
                , roleRef =
                  { apiGroup = "rbac.authorization.k8s.io"
                  , kind = "Role"
                  , name = spec.name
                  }
                }
            , k.Object.Service
                k.Service::{
                , metadata = metadata // { name = "ingress-nginx-public" }
                , spec = k.Service.Spec::{
                  , type = "LoadBalancer"
                  , externalTrafficPolicy = Some "Local"
                  , selector = labels.selector (workload.describe spec)
                  , ports =
                      list.map
                        { name : Text, port : Natural, target : Natural }
                        k.Service.Port.Type
                        ( \ ( p
                            : { name : Text, port : Natural, target : Natural }
                            ) ->
                            k.Service.Port::{
                            , name = p.name
                            , port = p.port
                            , targetPort = k.IntOrString.Int p.target
                            , appProtocol = Some p.name
                            }
                        )
                        [ { name = "http", port = 80, target = 8080 }
                        , { name = "https", port = 443, target = 8443 }
                        ]
                  }
                }
            ]
