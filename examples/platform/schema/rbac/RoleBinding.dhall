let ObjectMeta = ../meta/ObjectMeta.dhall

let Subject = { kind : Text, name : Text, namespace : Text }

let RoleRef = { apiGroup : Text, kind : Text, name : Text }

in  { Type =
        { apiVersion : Text
        , kind : Text
        , metadata : ObjectMeta.Type
        , subjects : List Subject
        , roleRef : RoleRef
        }
    , default =
      { apiVersion = "rbac.authorization.k8s.io/v1", kind = "RoleBinding" }
    , Subject
    , RoleRef
    }
