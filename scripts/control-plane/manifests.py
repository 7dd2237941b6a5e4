"""manifests.py NAMESPACE | --cluster | --operator NAMESPACE | --lacking NAMESPACE: the stand-in's objects as a JSON list.

--lacking: for each right of the account `revoker` but the look at the namespace a group `revoker-lacks-N` that has all
others; which one it lacks is in the annotation `lacks` of its role, as `delete secrets/rsa-keys`."""
import copy, json, sys

# What the restricted accounts of up.sh may do in an InfluxDB namespace; none of them may look at kube-system.
RIGHTS = {
    "limited": [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["admin-token"], "verbs": ["get"]},
                {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]}],
    "secret-only": [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["admin-token"], "verbs": ["get"]}],
    "revoker": [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["rsa-keys"], "verbs": ["get", "delete"]},
                {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["admin-token"], "verbs": ["get", "delete"]},
                {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["list", "watch", "create"]},
                {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch", "delete"]},
                {"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"]}],
}


def namespace(ns): return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ns}}


def job(ns, name, app):
    labels = {"app": app, "applyset.kubernetes.io/part-of": "applyset-sim-v1"}
    container = {"name": app, "image": f"sim.invalid/{app}:20240325", "args": ["--namespace", ns]}
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name, "namespace": ns, "labels": labels},
            "spec": {"backoffLimit": 6, "template": {"metadata": {"labels": {"app": app}}, "spec": {
                "restartPolicy": "OnFailure", "automountServiceAccountToken": False, "containers": [container]}}}}


def deployment(ns, name, labels, replicas, volumes=()):
    container = {"name": name, "image": f"sim.invalid/{name}:20240325",
                 "volumeMounts": [{"name": v, "mountPath": f"/run/{v}"} for v in volumes]}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name, "namespace": ns, "labels": labels},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {
                "automountServiceAccountToken": False, "containers": [container],
                "volumes": [{"name": v, "secret": {"secretName": v}} for v in volumes]}}}}


def rights(ns, rights_of=RIGHTS, lacks=()):
    for group, rules in rights_of.items():
        meta = {"name": group, "namespace": ns}
        noted = {**meta, "annotations": {"lacks": lacks[group]}} if lacks else meta
        yield {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": noted, "rules": rules}
        yield {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": meta,
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": group},
               "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group}]}


def lacking(ns):
    rights_of, lacks = {}, {}
    for i, rule in enumerate(RIGHTS["revoker"]):
        for verb in rule["verbs"] if rule["resources"] != ["namespaces"] else []:
            group, rules = f"revoker-lacks-{len(rights_of)}", copy.deepcopy(RIGHTS["revoker"])
            rules[i]["verbs"].remove(verb)
            rights_of[group] = rules
            lacks[group] = f"{verb} {'/'.join(rule['resources'] + rule.get('resourceNames', []))}"
    return rights(ns, rights_of, lacks)


if sys.argv[1] == "--cluster":
    versions = [{"name": "v1alpha1", "served": True, "storage": True, "subresources": {"status": {}},
                 "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}}]
    items = [{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "sim-node"}},
             {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "appinstances.kubecfg.dev"},
              "spec": {"group": "kubecfg.dev", "names": {"kind": "AppInstance", "plural": "appinstances", "singular": "appinstance"},
                       "scope": "Namespaced", "versions": versions}}]
elif sys.argv[1] == "--operator":
    ns = sys.argv[2]
    items = [namespace("kubit"), deployment("kubit", "kubit", {"control-plane": "kubit"}, 1),
             {"apiVersion": "kubecfg.dev/v1alpha1", "kind": "AppInstance", "metadata": {"name": ns, "namespace": ns},
              "spec": {"pause": False, "package": {"apiVersion": "influxdata.com/v1alpha1", "image": "registry.invalid/influxdb:20240326"}}}]
elif sys.argv[1] == "--lacking":
    items = list(lacking(sys.argv[2]))
else:
    ns = sys.argv[1]
    items = [namespace(ns), job(ns, "key-gen-7c9d2b41", "key-gen"), job(ns, "create-admin-token-7c9d2b41", "create-admin-token"),
             job(ns, "token-gen-56a2e859", "token-gen"), deployment(ns, "token-management", {"app": "token-management"}, 2, ["rsa-keys"]),
             deployment(ns, "querier", {"app": "querier"}, 1), *rights(ns)]
print(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=1))
