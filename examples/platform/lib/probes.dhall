-- | Probes by protocol, on a named port.
let k = ../schema/package.dhall

in  { http =
        \(path : Text) ->
        \(port : Text) ->
          k.Probe::{
          , httpGet = Some
            { path, port = k.IntOrString.String port, scheme = None Text }
          }
    , tcp =
        \(port : Text) ->
          k.Probe::{ tcpSocket = Some { port = k.IntOrString.String port } }
    , exec =
        \(command : List Text) ->
          k.Probe::{ exec = Some { command }, timeoutSeconds = 5 }
    , slowStart =
        \(probe : k.Probe.Type) ->
          probe // { periodSeconds = 5, failureThreshold = 60 }
    }
