let ObjectMeta = ../meta/ObjectMeta.dhall

let PolicyRule = ./PolicyRule.dhall

in  { Type =
        { apiVersion : Text
        , kind : Text
        , metadata : ObjectMeta.Type
        , rules : List PolicyRule.Type
        }
    , default =
      { apiVersion = "rbac.authorization.k8s.io/v1", kind = "ClusterRole" }
    }
