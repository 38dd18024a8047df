-- | The labels that never change in a workload's life: what selectors may rely on.
let Workload = ./Workload.dhall

in  \(workload : Workload.Type) ->
      toMap
        { `app.kubernetes.io/name` = workload.name
        , `app.kubernetes.io/instance` = workload.instance
        }
