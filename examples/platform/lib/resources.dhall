{-| Requests and limits by size. Memory limits equal requests, so that no pod is killed for its neighbour's appetite;
    processors have no limit, so that idle time is not thrown away.
-}
let k = ../schema/package.dhall

let of =
      \(cpu : Text) ->
      \(memory : Text) ->
          { requests = toMap { cpu, memory }, limits = toMap { memory } }
        : k.ResourceRequirements

in  { of
    , tiny = of "10m" "32Mi"
    , small = of "50m" "128Mi"
    , medium = of "250m" "512Mi"
    , large = of "1" "2Gi"
    }
