let ObjectMeta = ../meta/ObjectMeta.dhall

let IssuerRef = { name : Text, kind : Text, group : Text }

let PrivateKey = { algorithm : Text, size : Natural, rotationPolicy : Text }

let Spec =
      { Type =
          { secretName : Text
          , commonName : Optional Text
          , dnsNames : Optional (List Text)
          , duration : Text
          , renewBefore : Text
          , isCA : Bool
          , usages : List Text
          , privateKey : PrivateKey
          , issuerRef : IssuerRef
          }
      , default =
        { commonName = None Text
        , dnsNames = None (List Text)
        , duration = "2160h0m0s"
        , renewBefore = "720h0m0s"
        , isCA = False
        , usages = [ "digital signature", "server auth" ]
        , privateKey =
          { algorithm = "ECDSA", size = 256, rotationPolicy = "Always" }
        }
      }

in  { Type =
        { apiVersion : Text
        , kind : Text
        , metadata : ObjectMeta.Type
        , spec : Spec.Type
        }
    , default = { apiVersion = "cert-manager.io/v1", kind = "Certificate" }
    , Spec
    , IssuerRef
    }
