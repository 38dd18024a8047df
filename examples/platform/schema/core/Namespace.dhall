let ObjectMeta = ../meta/ObjectMeta.dhall

in  { Type = { apiVersion : Text, kind : Text, metadata : ObjectMeta.Type }
    , default = { apiVersion = "v1", kind = "Namespace" }
    }
