let Map = ../Map.dhall

let ObjectMeta = ../meta/ObjectMeta.dhall

in  { Type =
        { apiVersion : Text
        , kind : Text
        , metadata : ObjectMeta.Type
        , immutable : Optional Bool
        , data : Map
        }
    , default = { apiVersion = "v1", kind = "ConfigMap", immutable = None Bool }
    }
