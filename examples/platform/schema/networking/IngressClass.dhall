let ObjectMeta = ../meta/ObjectMeta.dhall

in  { Type =
        { apiVersion : Text
        , kind : Text
        , metadata : ObjectMeta.Type
        , spec : { controller : Text }
        }
    , default = { apiVersion = "networking.k8s.io/v1", kind = "IngressClass" }
    }
