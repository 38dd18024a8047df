let IntOrString = ../IntOrString.dhall

let ObjectMeta = ../meta/ObjectMeta.dhall

let LabelSelector = ../meta/LabelSelector.dhall

let Port = { protocol : Text, port : IntOrString }

let IpBlock = { cidr : Text, except : Optional (List Text) }

let Peer =
      { Type =
          { podSelector : Optional LabelSelector.Type
          , namespaceSelector : Optional LabelSelector.Type
          , ipBlock : Optional IpBlock
          }
      , default =
        { podSelector = None LabelSelector.Type
        , namespaceSelector = None LabelSelector.Type
        , ipBlock = None IpBlock
        }
      }

let Ingress = { from : Optional (List Peer.Type), ports : Optional (List Port) }

let Egress = { to : Optional (List Peer.Type), ports : Optional (List Port) }

let Spec =
      { Type =
          { podSelector : LabelSelector.Type
          , policyTypes : List Text
          , ingress : Optional (List Ingress)
          , egress : Optional (List Egress)
          }
      , default =
        { policyTypes = [ "Ingress", "Egress" ]
        , ingress = None (List Ingress)
        , egress = None (List Egress)
        }
      }

in  { Type =
        { apiVersion : Text
        , kind : Text
        , metadata : ObjectMeta.Type
        , spec : Spec.Type
        }
    , default = { apiVersion = "networking.k8s.io/v1", kind = "NetworkPolicy" }
    , Spec
    , Ingress
    , Egress
    , Peer
    , Port
    , IpBlock
    }
