-- | Metadata of an object that belongs to a workload: its name, namespace and recommended labels.
let k = ../schema/package.dhall

let labels = ./labels.dhall

in  \(namespace : Text) ->
    \(name : Text) ->
    \(workload : labels.Workload.Type) ->
      k.ObjectMeta::{
      , name
      , namespace = Some namespace
      , labels = Some (labels.recommended workload)
      }
