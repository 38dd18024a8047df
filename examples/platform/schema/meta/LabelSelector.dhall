let Map = ../Map.dhall

let Requirement = { key : Text, operator : Text, values : Optional (List Text) }

in  { Type =
        { matchLabels : Optional Map
        , matchExpressions : Optional (List Requirement)
        }
    , default =
      { matchLabels = None Map, matchExpressions = None (List Requirement) }
    , Requirement
    }
