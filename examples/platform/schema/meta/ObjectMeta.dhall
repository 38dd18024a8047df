let Map = ../Map.dhall

in  { Type =
        { name : Text
        , namespace : Optional Text
        , labels : Optional Map
        , annotations : Optional Map
        }
    , default =
      { namespace = None Text, labels = None Map, annotations = None Map }
    }
