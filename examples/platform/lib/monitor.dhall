-- | A ServiceMonitor for a workload's metrics port.
let k = ../schema/package.dhall

let labels = ./labels.dhall

in  \(metadata : k.ObjectMeta.Type) ->
    \(workload : labels.Workload.Type) ->
      k.Object.ServiceMonitor
        k.ServiceMonitor::{
        , metadata
        , spec =
          { selector.matchLabels = labels.selector workload
          , endpoints =
            [ { port = "metrics", path = "/metrics", interval = "30s" } ]
          }
        }
