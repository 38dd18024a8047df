let ObjectMeta = ../meta/ObjectMeta.dhall

let Backend = { service : { name : Text, port : { name : Text } } }

let Path = { path : Text, pathType : Text, backend : Backend }

let Rule = { host : Text, http : { paths : List Path } }

let Tls = { hosts : List Text, secretName : Text }

in  { Type =
        { apiVersion : Text
        , kind : Text
        , metadata : ObjectMeta.Type
        , spec : { ingressClassName : Text, tls : List Tls, rules : List Rule }
        }
    , default = { apiVersion = "networking.k8s.io/v1", kind = "Ingress" }
    , Path
    , Rule
    , Tls
    }
