{-| The organisation's label package, at the version that the platform has reviewed.

    The hash fixes what it yields, whoever serves it.
-}
http://packages.dhallmark.test:8411/labels/v1.2.0/package.dhall
  sha256:086c98e487b54fc84344d3020500eeca4b17ec80fac86f9057094e2143427b68
