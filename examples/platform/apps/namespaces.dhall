{-| The platform's namespaces, each with a pod security level, a quota, default limits, and all traffic denied.
-}
let k = ../schema/package.dhall

let Environment = ../environments/Environment.dhall

let list = ../lib/list.dhall

let names = ../lib/names.dhall

let network = ../lib/network.dhall

let Space = { name : Text, level : Text, cpu : Text, memory : Text }

let spaces
    : List Space
    = [ { name = names.namespaces.system
        , level = "restricted"
        , cpu = "4"
        , memory = "8Gi"
        }
      , { name = names.namespaces.ingress
        , level = "restricted"
        , cpu = "8"
        , memory = "8Gi"
        }
      , { name = names.namespaces.observability
        , level = "restricted"
        , cpu = "8"
        , memory = "32Gi"
        }
      , { name = names.namespaces.data
        , level = "restricted"
        , cpu = "16"
        , memory = "64Gi"
        }
      , { name = names.namespaces.shop
        , level = "restricted"
        , cpu = "32"
        , memory = "64Gi"
        }
      ]

let objects =
      \(env : Environment.Type) ->
      \(space : Space) ->
        [ k.Object.Namespace
            k.Namespace::{
            , metadata = k.ObjectMeta::{
              , name = space.name
              , labels = Some
                  ( toMap
                      { `pod-security.kubernetes.io/enforce` = space.level
                      , `pod-security.kubernetes.io/warn` = space.level
                      , `acme.example/environment` = env.name
                      }
                  )
              }
            }
        , k.Object.ResourceQuota
            k.ResourceQuota::{
            , metadata = k.ObjectMeta::{
              , name = "quota"
              , namespace = Some space.name
              }
            , spec.hard
              = toMap
                { `requests.cpu` = space.cpu
                , `requests.memory` = space.memory
                , `services.nodeports` = "0"
                , pods = if env.highAvailability then "200" else "50"
                }
            }
        , k.Object.LimitRange
            k.LimitRange::{
            , metadata = k.ObjectMeta::{
              , name = "defaults"
              , namespace = Some space.name
              }
            , spec.limits
              =
              [ { type = "Container"
                , default = toMap { memory = "256Mi" }
                , defaultRequest = toMap { cpu = "25m", memory = "64Mi" }
                }
              ]
            }
        , k.Object.NetworkPolicy (network.denyAll space.name)
        ]

in  \(env : Environment.Type) ->
      list.concat k.Object (list.map Space (List k.Object) (objects env) spaces)
