{-| The event bus between the shop's services: NATS with JetStream.
-}
let Environment = ../environments/Environment.dhall

let names = ../lib/names.dhall

let network = ../lib/network.dhall

let probes = ../lib/probes.dhall

let stateful = ../lib/stateful.dhall

let shop = network.namespaced names.namespaces.shop

in  \(env : Environment.Type) ->
      stateful.objects
        env
        stateful.Stateful::{
        , name = "nats"
        , namespace = names.namespaces.data
        , component = "events"
        , image =
          { repository = "mirror/nats"
          , tag = "2.11.9"
          , digest =
              "1ba31482b213431c02a94d860af77181cb607ee8176d989209413ddb4e59807b"
          }
        , args = Some [ "--config", "/etc/config/nats.conf" ]
        , files = toMap
            { `nats.conf` =
                ''
                listen: 0.0.0.0:4222
                http: 0.0.0.0:8222
                jetstream {
                  store_dir: /var/lib/data
                  max_file_store: 8G
                }
                cluster {
                  name: shop-${env.name}
                  listen: 0.0.0.0:6222
                }
                ''
            }
        , port = 4222
        , portName = "nats"
        , probe = probes.tcp "nats"
        , replicas = if env.highAvailability then 3 else 1
        , callers = [ shop "orders", shop "payments", shop "mailer" ]
        }
