{-| Takes the money. The only workload that talks to the payment provider.
-}
let k = ../schema/package.dhall

let Environment = ../environments/Environment.dhall

let names = ../lib/names.dhall

let meta = ../lib/meta.dhall

let monitor = ../lib/monitor.dhall

let network = ../lib/network.dhall

let workload = ../lib/workload.dhall

let namespace = names.namespaces.shop

let data = network.namespaced names.namespaces.data

in  \(env : Environment.Type) ->
      let spec =
            workload.Workload::{
            , name = "payments"
            , namespace
            , component = "api"
            , image =
              { repository = "shop/payments"
              , tag = "5.0.1"
              , digest =
                  "b1dec195db990e4c3381ce65ae40d6bb8540bd9c00f0adc16eb54640bce1c195"
              }
            , env =
              [ k.EnvVar::{
                , name = "DATABASE_PASSWORD"
                , valueFrom = Some k.EnvVar.Source::{
                  , secretKeyRef = Some
                    { name = "payments-database", key = "password" }
                  }
                }
              ]
            , settings =
                  toMap
                    { DATABASE_HOST = "postgres.${names.namespaces.data}.svc"
                    , DATABASE_NAME = "shop"
                    , DATABASE_USER = "payments"
                    }
                # toMap
                    { EVENTS_URL =
                        "nats://nats.${names.namespaces.data}.svc:4222"
                    , PROVIDER_URL =
                        if    env.highAvailability
                        then  "https://api.payments.example"
                        else  "https://sandbox.payments.example"
                    , REQUIRE_3DS = "true"
                    }
            , replicas = env.replicas
            , maxReplicas = Some env.maxReplicas
            , callers = [] : List k.NetworkPolicy.Peer.Type
            , calls =
              [ network.to [ data "postgres" ] [ 5432 ]
              , network.to [ data "nats" ] [ 4222 ]
              , network.internet [ 443 ]
              ]
            }

      let described = workload.describe spec

      let metadata = meta namespace spec.name described

      in  workload.objects env spec # [ monitor metadata described ]
