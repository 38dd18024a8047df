let ObjectMeta = ../meta/ObjectMeta.dhall

in  { Type =
        { apiVersion : Text
        , kind : Text
        , metadata : ObjectMeta.Type
        , automountServiceAccountToken : Bool
        }
    , default =
      { apiVersion = "v1"
      , kind = "ServiceAccount"
      , automountServiceAccountToken = False
      }
    }
