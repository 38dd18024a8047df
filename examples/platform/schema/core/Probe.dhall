let IntOrString = ../IntOrString.dhall

let HttpGet = { path : Text, port : IntOrString, scheme : Optional Text }

let Tcp = { port : IntOrString }

let Exec = { command : List Text }

let Grpc = { port : Natural, service : Optional Text }

in  { Type =
        { httpGet : Optional HttpGet
        , tcpSocket : Optional Tcp
        , exec : Optional Exec
        , grpc : Optional Grpc
        , initialDelaySeconds : Optional Natural
        , periodSeconds : Natural
        , timeoutSeconds : Natural
        , successThreshold : Optional Natural
        , failureThreshold : Natural
        }
    , default =
      { httpGet = None HttpGet
      , tcpSocket = None Tcp
      , exec = None Exec
      , grpc = None Grpc
      , initialDelaySeconds = None Natural
      , periodSeconds = 10
      , timeoutSeconds = 2
      , successThreshold = None Natural
      , failureThreshold = 3
      }
    }
