{-| NetworkPolicies: everything is denied in a namespace, and each workload says who may call it and whom it calls.
-}
let k = ../schema/package.dhall

let list = ./list.dhall

let names = ./names.dhall

let port =
      \(number : Natural) ->
          { protocol = "TCP", port = k.IntOrString.Int number }
        : k.NetworkPolicy.Port

let namespaced =
      \(namespace : Text) ->
      \(name : Text) ->
        k.NetworkPolicy.Peer::{
        , namespaceSelector = Some k.LabelSelector::{
          , matchLabels = Some
              (toMap { `kubernetes.io/metadata.name` = namespace })
          }
        , podSelector = Some k.LabelSelector::{
          , matchLabels = Some (toMap { `app.kubernetes.io/name` = name })
          }
        }

let dns =
      { to = Some
        [ k.NetworkPolicy.Peer::{
          , namespaceSelector = Some k.LabelSelector::{
            , matchLabels = Some
                (toMap { `kubernetes.io/metadata.name` = "kube-system" })
            }
          , podSelector = Some k.LabelSelector::{
            , matchLabels = Some (toMap { k8s-app = "kube-dns" })
            }
          }
        ]
      , ports = Some
        [ { protocol = "UDP", port = k.IntOrString.Int 53 }
        , { protocol = "TCP", port = k.IntOrString.Int 53 }
        ]
      }

let internet =
      \(numbers : List Natural) ->
        { to = Some
          [ k.NetworkPolicy.Peer::{
            , ipBlock = Some
              { cidr = "0.0.0.0/0"
              , except = Some
                [ "10.0.0.0/8"
                , "172.16.0.0/12"
                , "192.168.0.0/16"
                , "169.254.0.0/16"
                ]
              }
            }
          ]
        , ports = Some (list.map Natural k.NetworkPolicy.Port port numbers)
        }

let from =
      \(peers : List k.NetworkPolicy.Peer.Type) ->
      \(numbers : List Natural) ->
          { from = Some peers
          , ports = Some (list.map Natural k.NetworkPolicy.Port port numbers)
          }
        : k.NetworkPolicy.Ingress

let to =
      \(peers : List k.NetworkPolicy.Peer.Type) ->
      \(numbers : List Natural) ->
          { to = Some peers
          , ports = Some (list.map Natural k.NetworkPolicy.Port port numbers)
          }
        : k.NetworkPolicy.Egress

let prometheus = namespaced names.namespaces.observability "prometheus"

let ingressController = namespaced names.namespaces.ingress "ingress-nginx"

let denyAll =
      \(namespace : Text) ->
        k.NetworkPolicy::{
        , metadata = k.ObjectMeta::{
          , name = "default-deny"
          , namespace = Some namespace
          }
        , spec = k.NetworkPolicy.Spec::{ podSelector = k.LabelSelector::{=} }
        }

in  { port
    , namespaced
    , dns
    , internet
    , from
    , to
    , prometheus
    , ingressController
    , denyAll
    }
