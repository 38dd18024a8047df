let KeyRef = { name : Text, key : Text }

let Source =
      { Type =
          { configMapKeyRef : Optional KeyRef
          , secretKeyRef : Optional KeyRef
          , fieldRef : Optional { fieldPath : Text }
          }
      , default =
        { configMapKeyRef = None KeyRef
        , secretKeyRef = None KeyRef
        , fieldRef = None { fieldPath : Text }
        }
      }

in  { Type =
        { name : Text, value : Optional Text, valueFrom : Optional Source.Type }
    , default = { value = None Text, valueFrom = None Source.Type }
    , Source
    }
