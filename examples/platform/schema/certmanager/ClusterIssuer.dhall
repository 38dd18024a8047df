let ObjectMeta = ../meta/ObjectMeta.dhall

let Solver = { http01 : { ingress : { ingressClassName : Text } } }

let Acme =
      { server : Text
      , email : Text
      , privateKeySecretRef : { name : Text }
      , solvers : List Solver
      }

let Spec =
      { Type =
          { acme : Optional Acme
          , ca : Optional { secretName : Text }
          , selfSigned : Optional {}
          }
      , default =
        { acme = None Acme
        , ca = None { secretName : Text }
        , selfSigned = None {}
        }
      }

in  { Type =
        { apiVersion : Text
        , kind : Text
        , metadata : ObjectMeta.Type
        , spec : Spec.Type
        }
    , default = { apiVersion = "cert-manager.io/v1", kind = "ClusterIssuer" }
    , Spec
    , Acme
    , Solver
    }
