{-| An image by digest, below the environment's registry. The tag is for people; the digest decides.
-}
let Environment = ../environments/Environment.dhall

let Image = { repository : Text, tag : Text, digest : Text }

in  { Type = Image
    , reference =
        \(env : Environment.Type) ->
        \(image : Image) ->
          "${env.registry}/${image.repository}:${image.tag}@sha256:${image.digest}"
    }
