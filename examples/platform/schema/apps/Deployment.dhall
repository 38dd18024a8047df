let IntOrString = ../IntOrString.dhall

let ObjectMeta = ../meta/ObjectMeta.dhall

let LabelSelector = ../meta/LabelSelector.dhall

let PodTemplateSpec = ../core/PodTemplateSpec.dhall

let RollingUpdate = { maxSurge : IntOrString, maxUnavailable : IntOrString }

let Strategy = { type : Text, rollingUpdate : Optional RollingUpdate }

let Spec =
      { Type =
          { replicas : Optional Natural
          , revisionHistoryLimit : Natural
          , progressDeadlineSeconds : Natural
          , selector : LabelSelector.Type
          , strategy : Strategy
          , template : PodTemplateSpec
          }
      , default =
        { replicas = None Natural
        , revisionHistoryLimit = 3
        , progressDeadlineSeconds = 300
        , strategy =
          { type = "RollingUpdate"
          , rollingUpdate = Some
            { maxSurge = IntOrString.String "25%"
            , maxUnavailable = IntOrString.Int 0
            }
          }
        }
      }

in  { Type =
        { apiVersion : Text
        , kind : Text
        , metadata : ObjectMeta.Type
        , spec : Spec.Type
        }
    , default = { apiVersion = "apps/v1", kind = "Deployment" }
    , Spec
    , RollingUpdate
    }
