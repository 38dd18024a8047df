let Map = ../Map.dhall

let IntOrString = ../IntOrString.dhall

let ObjectMeta = ../meta/ObjectMeta.dhall

let Port =
      { Type =
          { name : Text
          , port : Natural
          , targetPort : IntOrString
          , protocol : Text
          , appProtocol : Optional Text
          }
      , default = { protocol = "TCP", appProtocol = None Text }
      }

let Spec =
      { Type =
          { type : Text
          , clusterIP : Optional Text
          , externalTrafficPolicy : Optional Text
          , publishNotReadyAddresses : Optional Bool
          , selector : Map
          , ports : List Port.Type
          }
      , default =
        { type = "ClusterIP"
        , clusterIP = None Text
        , externalTrafficPolicy = None Text
        , publishNotReadyAddresses = None Bool
        }
      }

in  { Type =
        { apiVersion : Text
        , kind : Text
        , metadata : ObjectMeta.Type
        , spec : Spec.Type
        }
    , default = { apiVersion = "v1", kind = "Service" }
    , Spec
    , Port
    }
