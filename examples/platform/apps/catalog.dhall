{-| What the shop sells, and at which price.
-}
let k = ../schema/package.dhall

let Environment = ../environments/Environment.dhall

let names = ../lib/names.dhall

let meta = ../lib/meta.dhall

let monitor = ../lib/monitor.dhall

let network = ../lib/network.dhall

let workload = ../lib/workload.dhall

let namespace = names.namespaces.shop

let shop = network.namespaced namespace

let data = network.namespaced names.namespaces.data

in  \(env : Environment.Type) ->
      let spec =
            workload.Workload::{
            , name = "catalog"
            , namespace
            , component = "api"
            , image =
              { repository = "shop/catalog"
              , tag = "1.12.0"
              , digest =
                  "6640dee62055e22147963e8d2f47649a1c338b95c7a4d73ee34ecb6bd18334eb"
              }
            , env =
              [ k.EnvVar::{
                , name = "DATABASE_PASSWORD"
                , valueFrom = Some k.EnvVar.Source::{
                  , secretKeyRef = Some
                    { name = "catalog-database", key = "password" }
                  }
                }
              ]
            , settings =
                  toMap
                    { DATABASE_HOST = "postgres.${names.namespaces.data}.svc"
                    , DATABASE_NAME = "shop"
                    , DATABASE_USER = "catalog"
                    }
                # toMap
                    { CURRENCY = "EUR"
                    , PAGE_SIZE = "50"
                    , SEARCH_LANGUAGES = "en,de,fr"
                    }
            , replicas = env.replicas
            , maxReplicas = Some env.maxReplicas
            , callers = [ shop "storefront", shop "orders" ]
            , calls = [ network.to [ data "postgres" ] [ 5432 ] ]
            }

      let described = workload.describe spec

      let metadata = meta namespace spec.name described

      in  workload.objects env spec # [ monitor metadata described ]
