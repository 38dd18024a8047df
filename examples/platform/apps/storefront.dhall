{-| What customers see.
-}
let Environment = ../environments/Environment.dhall

let names = ../lib/names.dhall

let ingress = ../lib/ingress.dhall

let meta = ../lib/meta.dhall

let monitor = ../lib/monitor.dhall

let network = ../lib/network.dhall

let resources = ../lib/resources.dhall

let workload = ../lib/workload.dhall

let namespace = names.namespaces.shop

let shop = network.namespaced namespace

in  \(env : Environment.Type) ->
      let spec =
            workload.Workload::{
            , name = "storefront"
            , namespace
            , component = "web"
            , image =
              { repository = "shop/storefront"
              , tag = "2.31.4"
              , digest =
                  "80cd10cdec2764395c640744ad6b5c21294abcefe65c19fbd3184f476d6af283"
              }
            , settings = toMap
                { CATALOG_URL = "http://catalog.${namespace}.svc"
                , ORDERS_URL = "http://orders.${namespace}.svc"
                , OIDC_ISSUER = "https://login.${env.domain}"
                , PUBLIC_URL = "https://shop.${env.domain}"
                , SESSION_STORE = "valkey.${names.namespaces.data}.svc:6379"
                , GREETING_TEMPLATE = "Hello, {{name}}!"
                }
            , secret = Some "storefront"
            , replicas = env.replicas
            , maxReplicas = Some env.maxReplicas
            , resources = resources.medium
            , callers = [ network.ingressController ]
            , calls =
              [ network.to
                  [ shop "catalog", shop "orders", shop "dex" ]
                  [ 8080 ]
              , network.to
                  [ network.namespaced names.namespaces.data "valkey" ]
                  [ 6379 ]
              ]
            }

      let described = workload.describe spec

      let metadata = meta namespace spec.name described

      in    workload.objects env spec
          # [ ingress env metadata "shop", monitor metadata described ]
