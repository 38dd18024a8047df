let ObjectMeta = ../meta/ObjectMeta.dhall

let Dependency = { name : Text }

let Spec =
      { Type =
          { interval : Text
          , retryInterval : Text
          , timeout : Text
          , path : Text
          , prune : Bool
          , wait : Bool
          , serviceAccountName : Text
          , sourceRef : { kind : Text, name : Text }
          , dependsOn : Optional (List Dependency)
          }
      , default =
        { interval = "10m0s"
        , retryInterval = "1m0s"
        , timeout = "5m0s"
        , prune = True
        , wait = True
        , dependsOn = None (List Dependency)
        }
      }

in  { Type =
        { apiVersion : Text
        , kind : Text
        , metadata : ObjectMeta.Type
        , spec : Spec.Type
        }
    , default =
      { apiVersion = "kustomize.toolkit.fluxcd.io/v1", kind = "Kustomization" }
    , Spec
    , Dependency
    }
