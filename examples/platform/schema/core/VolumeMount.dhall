{ Type =
    { name : Text
    , mountPath : Text
    , subPath : Optional Text
    , readOnly : Optional Bool
    }
, default = { subPath = None Text, readOnly = None Bool }
}
