let IntOrString = ../IntOrString.dhall

let ObjectMeta = ../meta/ObjectMeta.dhall

let LabelSelector = ../meta/LabelSelector.dhall

in  { Type =
        { apiVersion : Text
        , kind : Text
        , metadata : ObjectMeta.Type
        , spec : { maxUnavailable : IntOrString, selector : LabelSelector.Type }
        }
    , default = { apiVersion = "policy/v1", kind = "PodDisruptionBudget" }
    }
