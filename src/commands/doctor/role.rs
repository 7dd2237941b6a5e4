//! The Role with every permission of this program, as YAML.

use crate::procedure::revoke::list_permissions;
use crate::tool::permission::Permission;
use std::collections::{BTreeMap, BTreeSet};

/// Permissions in the namespace that only some clusters need: kubit, and a recreated namespace.
const OPTIONAL: &[(&str, &str)] = &[
    ("list", "appinstances.kubecfg.dev"),
    ("get", "configmaps/app-instance"),
    ("list", "deployments.apps"),
];

/// Permissions outside of the namespace. Without them, checks report `not checked`.
const CLUSTER_WIDE: &[(&str, &str)] = &[
    ("list", "deployments.apps"),
    ("get", "namespaces/kube-system"),
];

/// A rule: its verbs, and the names of the objects.
#[derive(Default)]
struct Rule {
    verbs: BTreeSet<String>,
    names: BTreeSet<String>,
}

/// Renders a Role for the namespace and a ClusterRole, for `kubectl apply --filename -`.
pub(super) fn render_role(namespace: &str) -> String {
    let name = format!("bypassctl-{namespace}");
    let own = format!("namespaces/{namespace}");
    let optional = OPTIONAL.iter().copied().chain([("get", own.as_str())]);
    let optional = optional.map(|(verb, resource)| Permission::new(verb, resource, namespace));
    let role = list_permissions(namespace).into_iter().chain(optional);
    let cluster_wide = CLUSTER_WIDE
        .iter()
        .map(|(verb, resource)| Permission::new(verb, resource, ""));
    format!(
        "# What `enable` and a revocation need. Bind it to the account with a RoleBinding.\n\
         # Jobs: `get` only where kubit runs, `delete` only there or for --prune-clones.\n\
         apiVersion: rbac.authorization.k8s.io/v1\n\
         kind: Role\n\
         metadata:\n  name: bypassctl\n  namespace: {namespace}\n\
         rules:\n{}\
         ---\n\
         # Optional: identifies the cluster, and finds kubit in other namespaces.\n\
         apiVersion: rbac.authorization.k8s.io/v1\n\
         kind: ClusterRole\n\
         metadata:\n  name: {name}\n\
         rules:\n{}",
        render_rules(role),
        render_rules(cluster_wide)
    )
}

fn render_rules(permissions: impl Iterator<Item = Permission>) -> String {
    let mut rules: BTreeMap<(String, String), Rule> = BTreeMap::new();
    for permission in permissions {
        let rule = rules
            .entry((permission.group, permission.resource))
            .or_default();
        rule.verbs.insert(permission.verb);
        if !permission.name.is_empty() {
            rule.names.insert(permission.name);
        }
    }
    let list = |words: &BTreeSet<String>| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        words.join(", ")
    };
    let render = |((group, resource), rule): (&(String, String), &Rule)| {
        let names = if rule.names.is_empty() {
            String::new()
        } else {
            format!("    resourceNames: [{}]\n", list(&rule.names))
        };
        let verbs = list(&rule.verbs);
        format!(
            "  - apiGroups: [\"{group}\"]\n    resources: [{resource}]\n{names}    verbs: [{verbs}]\n"
        )
    };
    rules.iter().map(render).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn render_role_has_one_rule_for_each_resource() {
        insta::assert_snapshot!(render_role("influxdb"), @r#"
        # What `enable` and a revocation need. Bind it to the account with a RoleBinding.
        # Jobs: `get` only where kubit runs, `delete` only there or for --prune-clones.
        apiVersion: rbac.authorization.k8s.io/v1
        kind: Role
        metadata:
          name: bypassctl
          namespace: influxdb
        rules:
          - apiGroups: [""]
            resources: [configmaps]
            resourceNames: [app-instance]
            verbs: [get]
          - apiGroups: [""]
            resources: [namespaces]
            resourceNames: [influxdb]
            verbs: [get]
          - apiGroups: [""]
            resources: [pods]
            verbs: [delete, list, watch]
          - apiGroups: [""]
            resources: [secrets]
            resourceNames: [admin-token, rsa-keys]
            verbs: [delete, get]
          - apiGroups: ["apps"]
            resources: [deployments]
            verbs: [list]
          - apiGroups: ["batch"]
            resources: [jobs]
            verbs: [create, delete, get, list, watch]
          - apiGroups: ["kubecfg.dev"]
            resources: [appinstances]
            verbs: [list]
        ---
        # Optional: identifies the cluster, and finds kubit in other namespaces.
        apiVersion: rbac.authorization.k8s.io/v1
        kind: ClusterRole
        metadata:
          name: bypassctl-influxdb
        rules:
          - apiGroups: [""]
            resources: [namespaces]
            resourceNames: [kube-system]
            verbs: [get]
          - apiGroups: ["apps"]
            resources: [deployments]
            verbs: [list]
        "#);
    }
}
