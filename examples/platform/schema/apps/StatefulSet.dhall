let ObjectMeta = ../meta/ObjectMeta.dhall

let LabelSelector = ../meta/LabelSelector.dhall

let PodTemplateSpec = ../core/PodTemplateSpec.dhall

let PersistentVolumeClaim = ../core/PersistentVolumeClaim.dhall

let Spec =
      { Type =
          { replicas : Natural
          , revisionHistoryLimit : Natural
          , serviceName : Text
          , podManagementPolicy : Text
          , selector : LabelSelector.Type
          , template : PodTemplateSpec
          , volumeClaimTemplates : List PersistentVolumeClaim.Type
          }
      , default =
        { revisionHistoryLimit = 3, podManagementPolicy = "OrderedReady" }
      }

in  { Type =
        { apiVersion : Text
        , kind : Text
        , metadata : ObjectMeta.Type
        , spec : Spec.Type
        }
    , default = { apiVersion = "apps/v1", kind = "StatefulSet" }
    , Spec
    }
