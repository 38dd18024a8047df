let Map = ../Map.dhall

let ObjectMeta = ../meta/ObjectMeta.dhall

let Endpoint = { port : Text, path : Text, interval : Text }

in  { Type =
        { apiVersion : Text
        , kind : Text
        , metadata : ObjectMeta.Type
        , spec : { selector : { matchLabels : Map }, endpoints : List Endpoint }
        }
    , default =
      { apiVersion = "monitoring.coreos.com/v1", kind = "ServiceMonitor" }
    , Endpoint
    }
