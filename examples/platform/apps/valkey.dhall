{-| Sessions and carts, which may be lost.
-}
let Environment = ../environments/Environment.dhall

let names = ../lib/names.dhall

let network = ../lib/network.dhall

let probes = ../lib/probes.dhall

let stateful = ../lib/stateful.dhall

in  \(env : Environment.Type) ->
      stateful.objects
        env
        stateful.Stateful::{
        , name = "valkey"
        , namespace = names.namespaces.data
        , component = "cache"
        , image =
          { repository = "mirror/valkey"
          , tag = "8.1.4"
          , digest =
              "f09ff66bf3b6ed3ea1d9f67a9fc2782f61c321291b18f2f628f5571f1959224c"
          }
        , args = Some [ "/etc/config/valkey.conf" ]
        , files = toMap
            { `valkey.conf` =
                ''
                dir /var/lib/data
                maxmemory 384mb
                maxmemory-policy allkeys-lru
                appendonly no
                save ""
                ''
            }
        , storage = "2Gi"
        , port = 6379
        , portName = "valkey"
        , probe = probes.exec [ "valkey-cli", "ping" ]
        , callers = [ network.namespaced names.namespaces.shop "storefront" ]
        }
