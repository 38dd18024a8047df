-- | A claim template of a StatefulSet.
let Map = ../Map.dhall

let ObjectMeta = ../meta/ObjectMeta.dhall

in  { Type =
        { apiVersion : Text
        , kind : Text
        , metadata : ObjectMeta.Type
        , spec :
            { accessModes : List Text
            , storageClassName : Text
            , resources : { requests : Map }
            }
        }
    , default = { apiVersion = "v1", kind = "PersistentVolumeClaim" }
    }
