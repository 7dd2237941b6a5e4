"""manifests.py NAMESPACE | --cluster | --operator NAMESPACE | --lacking NAMESPACE

Prints the objects of the stand-in as a JSON list.

--lacking prints a group `revoker-lacks-N` for each permission of the account `revoker`, except
reading the namespace. The group has all other permissions. The annotation `lacks` of its role names
the missing one, such as `delete secrets/rsa-keys`.
"""
import copy, json, sys


def rule(group, resource, verbs, *names):
    restriction = {"resourceNames": list(names)} if names else {}
    return {"apiGroups": [group], "resources": [resource], **restriction, "verbs": verbs.split()}


# The permissions of up.sh's restricted accounts in an InfluxDB namespace. None of them can read
# kube-system.
PERMISSIONS = {
    "limited": [rule("", "secrets", "get", "admin-token"), rule("", "namespaces", "get")],
    "secret-only": [rule("", "secrets", "get", "admin-token")],
    "revoker": [rule("", "secrets", "get delete", "rsa-keys"),
                rule("", "secrets", "get delete", "admin-token"),
                rule("batch", "jobs", "list watch create"),
                rule("", "pods", "list watch delete"),
                rule("", "namespaces", "get")],
}
RBAC = "rbac.authorization.k8s.io"


def namespace(ns): return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ns}}


def job(ns, name, app):
    labels = {"app": app, "applyset.kubernetes.io/part-of": "applyset-sim-v1"}
    container = {"name": app, "image": f"sim.invalid/{app}:20240325", "args": ["--namespace", ns]}
    pod_spec = {"restartPolicy": "OnFailure", "automountServiceAccountToken": False,
                "containers": [container]}
    template = {"metadata": {"labels": {"app": app}}, "spec": pod_spec}
    return {"apiVersion": "batch/v1", "kind": "Job",
            "metadata": {"name": name, "namespace": ns, "labels": labels},
            "spec": {"backoffLimit": 6, "template": template}}


def deployment(ns, name, labels, replicas, volumes=()):
    container = {"name": name, "image": f"sim.invalid/{name}:20240325",
                 "volumeMounts": [{"name": v, "mountPath": f"/run/{v}"} for v in volumes]}
    pod_spec = {"automountServiceAccountToken": False, "containers": [container],
                "volumes": [{"name": v, "secret": {"secretName": v}} for v in volumes]}
    return {"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name, "namespace": ns, "labels": labels},
            "spec": {"replicas": replicas, "selector": {"matchLabels": labels},
                     "template": {"metadata": {"labels": labels}, "spec": pod_spec}}}


def roles(ns, rules_of_group=PERMISSIONS, missing=()):
    for group, rules in rules_of_group.items():
        meta = {"name": group, "namespace": ns}
        role_meta = {**meta, "annotations": {"lacks": missing[group]}} if missing else meta
        yield {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": role_meta, "rules": rules}
        yield {"apiVersion": f"{RBAC}/v1", "kind": "RoleBinding", "metadata": meta,
               "roleRef": {"apiGroup": RBAC, "kind": "Role", "name": group},
               "subjects": [{"apiGroup": RBAC, "kind": "Group", "name": group}]}


def roles_lacking_one(ns):
    rules_of_group, missing = {}, {}
    for i, removed in enumerate(PERMISSIONS["revoker"]):
        if removed["resources"] == ["namespaces"]: continue
        for verb in removed["verbs"]:
            group = f"revoker-lacks-{len(rules_of_group)}"
            rules = copy.deepcopy(PERMISSIONS["revoker"])
            rules[i]["verbs"].remove(verb)
            rules_of_group[group] = rules
            target = "/".join(removed["resources"] + removed.get("resourceNames", []))
            missing[group] = f"{verb} {target}"
    return list(roles(ns, rules_of_group, missing))


def cluster_objects():
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {"name": "v1alpha1", "served": True, "storage": True, "subresources": {"status": {}},
               "schema": {"openAPIV3Schema": schema}}
    names = {"kind": "AppInstance", "plural": "appinstances", "singular": "appinstance"}
    return [{"apiVersion": "v1", "kind": "Node", "metadata": {"name": "sim-node"}},
            {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
             "metadata": {"name": "appinstances.kubecfg.dev"},
             "spec": {"group": "kubecfg.dev", "names": names, "scope": "Namespaced",
                      "versions": [version]}}]


def operator_objects(ns):
    package = {"apiVersion": "influxdata.com/v1alpha1",
               "image": "registry.invalid/influxdb:20240326"}
    return [namespace("kubit"), deployment("kubit", "kubit", {"control-plane": "kubit"}, 1),
            {"apiVersion": "kubecfg.dev/v1alpha1", "kind": "AppInstance",
             "metadata": {"name": ns, "namespace": ns},
             "spec": {"pause": False, "package": package}}]


def influxdb_objects(ns):
    return [namespace(ns), job(ns, "key-gen-7c9d2b41", "key-gen"),
            job(ns, "create-admin-token-7c9d2b41", "create-admin-token"),
            job(ns, "token-gen-56a2e859", "token-gen"),
            deployment(ns, "token-management", {"app": "token-management"}, 2, ["rsa-keys"]),
            deployment(ns, "querier", {"app": "querier"}, 1), *roles(ns)]


if sys.argv[1] == "--cluster": items = cluster_objects()
elif sys.argv[1] == "--operator": items = operator_objects(sys.argv[2])
elif sys.argv[1] == "--lacking": items = roles_lacking_one(sys.argv[2])
else: items = influxdb_objects(sys.argv[1])
print(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}, indent=1))
