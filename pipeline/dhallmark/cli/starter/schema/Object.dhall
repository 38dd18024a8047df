-- The kinds of Kubernetes objects that applications may yield. An object of another shape is a type error.
let Map = List { mapKey : Text, mapValue : Text }

let Metadata = { name : Text, labels : Map }

let Container =
      { name : Text
      , image : Text
      , command : List Text
      , env :
          List
            { name : Text
            , valueFrom : { configMapKeyRef : { name : Text, key : Text } }
            }
      }

in  < ConfigMap :
        { apiVersion : Text, kind : Text, metadata : Metadata, data : Map }
    | Deployment :
        { apiVersion : Text
        , kind : Text
        , metadata : Metadata
        , spec :
            { replicas : Natural
            , selector : { matchLabels : Map }
            , template :
                { metadata : { labels : Map }
                , spec : { containers : List Container }
                }
            }
        }
    >
