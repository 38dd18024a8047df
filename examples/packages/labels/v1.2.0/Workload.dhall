{-| What the recommended labels say of a workload.
    https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/
-}
{ Type =
    { name : Text
    , instance : Text
    , component : Optional Text
    , partOf : Optional Text
    , version : Optional Text
    , managedBy : Text
    }
, default =
  { component = None Text
  , partOf = None Text
  , version = None Text
  , managedBy = "dhallmark"
  }
}
