let ObjectMeta = ../meta/ObjectMeta.dhall

let LabelSelector = ../meta/LabelSelector.dhall

let PodTemplateSpec = ../core/PodTemplateSpec.dhall

in  { Type =
        { apiVersion : Text
        , kind : Text
        , metadata : ObjectMeta.Type
        , spec :
            { revisionHistoryLimit : Natural
            , selector : LabelSelector.Type
            , template : PodTemplateSpec
            }
        }
    , default = { apiVersion = "apps/v1", kind = "DaemonSet" }
    }
