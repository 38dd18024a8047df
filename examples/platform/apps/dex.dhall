{-| Sign-in for customers and staff: OpenID Connect, with Kubernetes objects as its storage.
-}
let k = ../schema/package.dhall

let Environment = ../environments/Environment.dhall

let names = ../lib/names.dhall

let meta = ../lib/meta.dhall

let network = ../lib/network.dhall

let workload = ../lib/workload.dhall

let namespace = names.namespaces.shop

let server =
      \(env : Environment.Type) ->
        workload.Workload::{
        , name = "dex"
        , namespace
        , component = "identity"
        , image =
          { repository = "mirror/dexidp/dex"
          , tag = "v2.44.0"
          , digest =
              "d7d20fe721d83d821bb024b700bf65dc1335a29a6b86c7a7fd72f85d7526f124"
          }
        , args = Some [ "dex", "serve", "/etc/dex/config.yaml" ]
        , settings = toMap
            { `config.yaml` =
                ''
                issuer: https://login.${env.domain}
                storage:
                  type: kubernetes
                  config:
                    inCluster: true
                web:
                  http: 0.0.0.0:8080
                telemetry:
                  http: 0.0.0.0:9090
                staticClients:
                  - id: storefront
                    name: Storefront
                    secretEnv: STOREFRONT_CLIENT_SECRET
                    redirectURIs:
                      - https://shop.${env.domain}/callback
                ''
            }
        , secret = Some "dex"
        , replicas = env.replicas
        , callers =
          [ network.ingressController
          , network.namespaced namespace "storefront"
          ]
        , calls = [ network.internet [ 443, 6443 ] ]
        , automountToken = True
        , volumes =
          [ k.Volume::{
            , name = "config"
            , configMap = Some k.Volume.ConfigMapSource::{
              , name = "dex"
              , items = Some [ { key = "config.yaml", path = "config.yaml" } ]
              }
            }
          ]
        , volumeMounts =
          [ k.VolumeMount::{
            , name = "config"
            , mountPath = "/etc/dex"
            , readOnly = Some True
            }
          ]
        }

let ingress = ../lib/ingress.dhall

in  \(env : Environment.Type) ->
      let spec = server env

      let metadata = meta namespace spec.name (workload.describe spec)

      in    workload.objects env spec
          # [ k.Object.Role
                k.Role::{
                , metadata
                , rules =
                  [ k.PolicyRule::{
                    , apiGroups = [ "dex.coreos.com" ]
                    , resources = [ "*" ]
                    , verbs =
                      [ "create", "delete", "get", "list", "update", "watch" ]
                    }
                  ]
                }
            , k.Object.RoleBinding
                k.RoleBinding::{
                , metadata
                , subjects =
                  [ { kind = "ServiceAccount", name = spec.name, namespace } ]
                , roleRef =
                  { apiGroup = "rbac.authorization.k8s.io"
                  , kind = "Role"
                  , name = spec.name
                  }
                }
            , ingress env metadata "login"
            ]
