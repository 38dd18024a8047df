{-| Where certificates come from: an ACME issuer for public names, and the platform's own CA for those inside.
-}
let k = ../schema/package.dhall

let Environment = ../environments/Environment.dhall

let names = ../lib/names.dhall

let issuer =
      \(name : Text) ->
      \(spec : k.ClusterIssuer.Spec.Type) ->
        k.Object.ClusterIssuer
          k.ClusterIssuer::{ metadata = k.ObjectMeta::{ name }, spec }

let reference =
      \(name : Text) ->
        { name, kind = "ClusterIssuer", group = "cert-manager.io" }

in  \(env : Environment.Type) ->
      [ issuer
          "public"
          k.ClusterIssuer.Spec::{
          , acme = Some
            { server = env.acmeServer
            , email = env.contact
            , privateKeySecretRef.name = "acme-account"
            , solvers =
              [ { http01.ingress.ingressClassName = names.ingressClass } ]
            }
          }
      , issuer "bootstrap" k.ClusterIssuer.Spec::{ selfSigned = Some {=} }
      , k.Object.Certificate
          k.Certificate::{
          , metadata = k.ObjectMeta::{
            , name = "internal-ca"
            , namespace = Some names.namespaces.system
            }
          , spec = k.Certificate.Spec::{
            , secretName = "internal-ca"
            , commonName = Some "${names.project} ${env.name} internal CA"
            , duration = "43800h0m0s"
            , renewBefore = "8760h0m0s"
            , isCA = True
            , usages = [ "cert sign", "crl sign" ]
            , issuerRef = reference "bootstrap"
            }
          }
      , issuer
          "internal"
          k.ClusterIssuer.Spec::{ ca = Some { secretName = "internal-ca" } }
      , k.Object.Certificate
          k.Certificate::{
          , metadata = k.ObjectMeta::{
            , name = "wildcard"
            , namespace = Some names.namespaces.ingress
            }
          , spec = k.Certificate.Spec::{
            , secretName = "wildcard-tls"
            , dnsNames = Some [ env.domain, "*.${env.domain}" ]
            , issuerRef = reference "internal"
            }
          }
      ]
