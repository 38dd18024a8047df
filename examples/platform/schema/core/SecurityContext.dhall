let Capabilities = { drop : List Text, add : Optional (List Text) }

in  { Type =
        { allowPrivilegeEscalation : Bool
        , readOnlyRootFilesystem : Bool
        , runAsNonRoot : Bool
        , privileged : Bool
        , capabilities : Capabilities
        }
    , default =
      { allowPrivilegeEscalation = False
      , readOnlyRootFilesystem = True
      , runAsNonRoot = True
      , privileged = False
      , capabilities = { drop = [ "ALL" ], add = None (List Text) }
      }
    }
