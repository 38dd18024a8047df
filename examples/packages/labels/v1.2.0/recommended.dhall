-- | All recommended labels of a workload; those that are not known are left out.
let Workload = ./Workload.dhall

let selector = ./selector.dhall

let Entry = { mapKey : Text, mapValue : Text }

let given =
      \(key : Text) ->
      \(value : Optional Text) ->
        merge
          { None = [] : List Entry
          , Some = \(text : Text) -> [ { mapKey = key, mapValue = text } ]
          }
          value

in  \(workload : Workload.Type) ->
        selector workload
      # toMap { `app.kubernetes.io/managed-by` = workload.managedBy }
      # given "app.kubernetes.io/component" workload.component
      # given "app.kubernetes.io/part-of" workload.partOf
      # given "app.kubernetes.io/version" workload.version
