let Map = ../Map.dhall

let ObjectMeta = ../meta/ObjectMeta.dhall

in  { Type =
        { apiVersion : Text
        , kind : Text
        , metadata : ObjectMeta.Type
        , spec : { hard : Map }
        }
    , default = { apiVersion = "v1", kind = "ResourceQuota" }
    }
