{-| Letters to customers. Its chart is templated: whoever installs it may set the sender and the schedule of the digest
    by Helm values (charts/mailer/values.yaml), without a new release of the platform.
-}
let k = ../schema/package.dhall

let Environment = ../environments/Environment.dhall

let names = ../lib/names.dhall

let meta = ../lib/meta.dhall

let network = ../lib/network.dhall

let resources = ../lib/resources.dhall

let workload = ../lib/workload.dhall

let namespace = names.namespaces.shop

in  \(env : Environment.Type) ->
      let spec =
            workload.Workload::{
            , name = "mailer"
            , namespace
            , component = "worker"
            , image =
              { repository = "shop/mailer"
              , tag = "0.9.7"
              , digest =
                  "4b1d9b71dc1ee676895f2736005a0e6697d2cde0cf4f012c09cfdc7cb36685d1"
              }
            , settings = toMap
                { EVENTS_URL = "nats://nats.${names.namespaces.data}.svc:4222"
                , SENDER = "{{ .Values.sender.address }}"
                , SENDER_NAME = "{{ .Values.sender.name }}"
                , SMTP_HOST = "{{ .Values.smtp.host }}"
                , SMTP_PORT = "{{ .Values.smtp.port }}"
                }
            , secret = Some "mailer-smtp"
            , replicas = env.replicas
            , calls =
              [ network.to
                  [ network.namespaced names.namespaces.data "nats" ]
                  [ 4222 ]
              , network.internet [ 465, 587 ]
              ]
            }

      let metadata = meta namespace spec.name (workload.describe spec)

      let template = workload.podTemplate env spec

      let digest =
            k.CronJob::{
            , metadata = metadata // { name = "mailer-digest" }
            , spec = k.CronJob.Spec::{
              , schedule = "{{ .Values.digest.schedule }}"
              , jobTemplate.spec
                =
                { backoffLimit = 2
                , activeDeadlineSeconds = 1800
                , ttlSecondsAfterFinished = 86400
                , template =
                        template
                    //  { spec =
                                template.spec
                            //  { restartPolicy = Some "Never"
                                , containers =
                                  [ k.Container::{
                                    , name = "digest"
                                    , image =
                                        "${env.registry}/${spec.image.repository}:${spec.image.tag}@sha256:${spec.image.digest}"
                                    , args = Some [ "send-digest" ]
                                    , envFrom = Some
                                      [ { configMapRef = Some
                                          { name = "mailer" }
                                        , secretRef = Some
                                          { name = "mailer-smtp" }
                                        }
                                      ]
                                    , resources = resources.small
                                    , volumeMounts = Some
                                      [ k.VolumeMount::{
                                        , name = "tmp"
                                        , mountPath = "/tmp"
                                        }
                                      ]
                                    }
                                  ]
                                }
                        }
                }
              }
            }

      in  workload.objects env spec # [ k.Object.CronJob digest ]
