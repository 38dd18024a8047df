let ObjectMeta = ../meta/ObjectMeta.dhall

let MatchIdentity = { issuer : Text, subject : Text }

let Verify =
      { provider : Text, matchOIDCIdentity : Optional (List MatchIdentity) }

let LayerSelector = { mediaType : Text, operation : Text }

let Spec =
      { Type =
          { interval : Text
          , timeout : Text
          , url : Text
          , ref : { tag : Optional Text, digest : Optional Text }
          , layerSelector : Optional LayerSelector
          , verify : Optional Verify
          }
      , default =
        { interval = "10m0s"
        , timeout = "60s"
        , layerSelector = None LayerSelector
        , verify = None Verify
        }
      }

in  { Type =
        { apiVersion : Text
        , kind : Text
        , metadata : ObjectMeta.Type
        , spec : Spec.Type
        }
    , default =
      { apiVersion = "source.toolkit.fluxcd.io/v1", kind = "OCIRepository" }
    , Spec
    , Verify
    , MatchIdentity
    , LayerSelector
    }
