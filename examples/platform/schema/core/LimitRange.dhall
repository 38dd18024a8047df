let Map = ../Map.dhall

let ObjectMeta = ../meta/ObjectMeta.dhall

let Item = { type : Text, default : Map, defaultRequest : Map }

in  { Type =
        { apiVersion : Text
        , kind : Text
        , metadata : ObjectMeta.Type
        , spec : { limits : List Item }
        }
    , default = { apiVersion = "v1", kind = "LimitRange" }
    , Item
    }
