let Map = ../Map.dhall

let ObjectMeta = ../meta/ObjectMeta.dhall

let Rule =
      { alert : Text, expr : Text, for : Text, labels : Map, annotations : Map }

let Group = { name : Text, interval : Text, rules : List Rule }

in  { Type =
        { apiVersion : Text
        , kind : Text
        , metadata : ObjectMeta.Type
        , spec : { groups : List Group }
        }
    , default =
      { apiVersion = "monitoring.coreos.com/v1", kind = "PrometheusRule" }
    , Rule
    , Group
    }
