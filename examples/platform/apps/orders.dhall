{-| Orders, from the cart to the parcel.
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
            , name = "orders"
            , namespace
            , component = "api"
            , image =
              { repository = "shop/orders"
              , tag = "3.4.2"
              , digest =
                  "410fc64ee6b9a796de71186b9f29adcf5137de92a586ba943e9c017ba2fa4c45"
              }
            , env =
              [ k.EnvVar::{
                , name = "DATABASE_PASSWORD"
                , valueFrom = Some k.EnvVar.Source::{
                  , secretKeyRef = Some
                    { name = "orders-database", key = "password" }
                  }
                }
              ]
            , settings =
                  toMap
                    { DATABASE_HOST = "postgres.${names.namespaces.data}.svc"
                    , DATABASE_NAME = "shop"
                    , DATABASE_USER = "orders"
                    }
                # toMap
                    { CATALOG_URL = "http://catalog.${namespace}.svc"
                    , EVENTS_URL =
                        "nats://nats.${names.namespaces.data}.svc:4222"
                    , ORDER_NUMBER_FORMAT = "%Y-%06d"
                    }
            , replicas = env.replicas
            , maxReplicas = Some env.maxReplicas
            , callers = [ shop "storefront" ]
            , calls =
              [ network.to [ data "postgres" ] [ 5432 ]
              , network.to [ data "nats" ] [ 4222 ]
              , network.to [ shop "catalog" ] [ 8080 ]
              ]
            }

      let described = workload.describe spec

      let metadata = meta namespace spec.name described

      in  workload.objects env spec # [ monitor metadata described ]
