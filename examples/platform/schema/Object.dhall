-- | One object of the platform: a union of all kinds that it is made of.
let Certificate = ./certmanager/Certificate.dhall

let ClusterIssuer = ./certmanager/ClusterIssuer.dhall

let ClusterRole = ./rbac/ClusterRole.dhall

let ClusterRoleBinding = ./rbac/ClusterRoleBinding.dhall

let ConfigMap = ./core/ConfigMap.dhall

let CronJob = ./batch/CronJob.dhall

let Deployment = ./apps/Deployment.dhall

let HorizontalPodAutoscaler = ./autoscaling/HorizontalPodAutoscaler.dhall

let Ingress = ./networking/Ingress.dhall

let IngressClass = ./networking/IngressClass.dhall

let Kustomization = ./flux/Kustomization.dhall

let LimitRange = ./core/LimitRange.dhall

let Namespace = ./core/Namespace.dhall

let NetworkPolicy = ./networking/NetworkPolicy.dhall

let OCIRepository = ./flux/OCIRepository.dhall

let PodDisruptionBudget = ./policy/PodDisruptionBudget.dhall

let PrometheusRule = ./monitoring/PrometheusRule.dhall

let ResourceQuota = ./core/ResourceQuota.dhall

let Role = ./rbac/Role.dhall

let RoleBinding = ./rbac/RoleBinding.dhall

let Service = ./core/Service.dhall

let ServiceAccount = ./core/ServiceAccount.dhall

let ServiceMonitor = ./monitoring/ServiceMonitor.dhall

let StatefulSet = ./apps/StatefulSet.dhall

in  < Certificate : Certificate.Type
    | ClusterIssuer : ClusterIssuer.Type
    | ClusterRole : ClusterRole.Type
    | ClusterRoleBinding : ClusterRoleBinding.Type
    | ConfigMap : ConfigMap.Type
    | CronJob : CronJob.Type
    | Deployment : Deployment.Type
    | HorizontalPodAutoscaler : HorizontalPodAutoscaler.Type
    | Ingress : Ingress.Type
    | IngressClass : IngressClass.Type
    | Kustomization : Kustomization.Type
    | LimitRange : LimitRange.Type
    | Namespace : Namespace.Type
    | NetworkPolicy : NetworkPolicy.Type
    | OCIRepository : OCIRepository.Type
    | PodDisruptionBudget : PodDisruptionBudget.Type
    | PrometheusRule : PrometheusRule.Type
    | ResourceQuota : ResourceQuota.Type
    | Role : Role.Type
    | RoleBinding : RoleBinding.Type
    | Service : Service.Type
    | ServiceAccount : ServiceAccount.Type
    | ServiceMonitor : ServiceMonitor.Type
    | StatefulSet : StatefulSet.Type
    >
