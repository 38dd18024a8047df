-- | Metadata of a pod template: the name comes from the controller.
let Map = ../Map.dhall

in  { Type = { labels : Map, annotations : Optional Map }
    , default.annotations = None Map
    }
