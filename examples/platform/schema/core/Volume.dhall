let KeyToPath = { key : Text, path : Text }

let ConfigMapSource =
      { Type = { name : Text, items : Optional (List KeyToPath) }
      , default.items = None (List KeyToPath)
      }

let SecretSource =
      { Type = { secretName : Text, defaultMode : Optional Natural }
      , default.defaultMode = None Natural
      }

let EmptyDir =
      { Type = { sizeLimit : Optional Text, medium : Optional Text }
      , default = { sizeLimit = None Text, medium = None Text }
      }

in  { Type =
        { name : Text
        , configMap : Optional ConfigMapSource.Type
        , secret : Optional SecretSource.Type
        , emptyDir : Optional EmptyDir.Type
        }
    , default =
      { configMap = None ConfigMapSource.Type
      , secret = None SecretSource.Type
      , emptyDir = None EmptyDir.Type
      }
    , ConfigMapSource
    , SecretSource
    , EmptyDir
    }
