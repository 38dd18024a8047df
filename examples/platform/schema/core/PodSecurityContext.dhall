{ Type =
    { runAsNonRoot : Bool
    , runAsUser : Natural
    , runAsGroup : Natural
    , fsGroup : Optional Natural
    , fsGroupChangePolicy : Optional Text
    , seccompProfile : { type : Text }
    }
, default =
  { runAsNonRoot = True
  , runAsUser = 65532
  , runAsGroup = 65532
  , fsGroup = None Natural
  , fsGroupChangePolicy = None Text
  , seccompProfile.type = "RuntimeDefault"
  }
}
