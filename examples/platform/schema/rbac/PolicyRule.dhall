{ Type =
    { apiGroups : List Text
    , resources : List Text
    , resourceNames : Optional (List Text)
    , verbs : List Text
    }
, default.resourceNames = None (List Text)
}
