-- | An Ingress for a workload under a host name of the environment's domain, with a certificate of its own.
let k = ../schema/package.dhall

let Environment = ../environments/Environment.dhall

let names = ./names.dhall

in  \(env : Environment.Type) ->
    \(metadata : k.ObjectMeta.Type) ->
    \(host : Text) ->
      let name = "${host}.${env.domain}"

      in  k.Object.Ingress
            k.Ingress::{
            , metadata =
                    metadata
                //  { annotations = Some
                        (toMap { `cert-manager.io/cluster-issuer` = "public" })
                    }
            , spec =
              { ingressClassName = names.ingressClass
              , tls = [ { hosts = [ name ], secretName = "${host}-tls" } ]
              , rules =
                [ { host = name
                  , http.paths
                    =
                    [ { path = "/"
                      , pathType = "Prefix"
                      , backend.service
                        =
                        { name = metadata.name, port.name = "http" }
                      }
                    ]
                  }
                ]
              }
            }
