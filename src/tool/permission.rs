//! Permissions of an account, and the access reviews that ask the cluster for them.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A permission of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permission {
    /// Empty for a permission in the whole cluster.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// `get`, `list`, `delete`, …
    pub verb: String,
    /// The API group. Empty for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// `secrets`, `jobs`, …
    pub resource: String,
    /// The name of one object. Empty for all objects.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
}

impl Permission {
    /// Creates a permission for `resource` in the form `pods`, `jobs.batch` or `secrets/rsa-keys`.
    #[must_use]
    pub fn new(verb: &str, resource: &str, namespace: &str) -> Self {
        let (resource, name) = resource.split_once('/').unwrap_or((resource, ""));
        let (resource, group) = resource.split_once('.').unwrap_or((resource, ""));
        Self {
            namespace: namespace.to_owned(),
            verb: verb.to_owned(),
            group: group.to_owned(),
            resource: resource.to_owned(),
            name: name.to_owned(),
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.group.is_empty() {
            write!(f, ".{}", self.group)?;
        }
        if !self.name.is_empty() {
            write!(f, "/{}", self.name)?;
        }
        Ok(())
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccessReview {
    api_version: String,
    kind: String,
    spec: ReviewSpec,
    #[serde(skip_serializing)]
    status: Option<ReviewStatus>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReviewSpec {
    resource_attributes: Permission,
}

#[derive(Deserialize)]
struct ReviewStatus {
    #[serde(default)]
    allowed: bool,
}

/// Renders a list of SelfSubjectAccessReviews, one for each permission.
#[must_use]
pub fn render_access_reviews(permissions: &[Permission]) -> String {
    let review = |permission: &Permission| AccessReview {
        api_version: "authorization.k8s.io/v1".to_owned(),
        kind: "SelfSubjectAccessReview".to_owned(),
        spec: ReviewSpec {
            resource_attributes: permission.clone(),
        },
        status: None,
    };
    let items: Vec<AccessReview> = permissions.iter().map(review).collect();
    serde_json::json!({ "apiVersion": "v1", "kind": "List", "items": items }).to_string()
}

/// Parses one answer per permission, in the same order. Returns `None` for any other output.
#[must_use]
pub fn parse_access_reviews(permissions: &[Permission], stdout: &[u8]) -> Option<Vec<bool>> {
    let reviews: Vec<AccessReview> = serde_json::Deserializer::from_slice(stdout)
        .into_iter()
        .collect::<Result<_, _>>()
        .ok()?;
    let reviewed = reviews
        .iter()
        .map(|review| &review.spec.resource_attributes);
    if !reviewed.eq(permissions.iter()) {
        return None;
    }
    reviews
        .into_iter()
        .map(|review| review.status.map(|status| status.allowed))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_access_reviews_requires_one_review_per_permission_in_order() {
        let permissions = [
            Permission::new("get", "secrets/admin-token", "influxdb"),
            Permission::new("list", "jobs.batch", "influxdb"),
        ];
        let answer = |permission: &Permission, allowed: bool| {
            serde_json::json!({
                "apiVersion": "authorization.k8s.io/v1",
                "kind": "SelfSubjectAccessReview",
                "metadata": {},
                "spec": {"resourceAttributes": permission},
                "status": {"allowed": allowed},
            })
            .to_string()
        };
        let both = format!(
            "{}\n{}\n",
            answer(&permissions[0], true),
            answer(&permissions[1], false)
        );
        assert_eq!(
            parse_access_reviews(&permissions, both.as_bytes()),
            Some(vec![true, false])
        );
        let swapped = format!(
            "{}\n{}\n",
            answer(&permissions[1], true),
            answer(&permissions[0], false)
        );
        assert_eq!(parse_access_reviews(&permissions, swapped.as_bytes()), None);
        assert_eq!(
            parse_access_reviews(&permissions, answer(&permissions[0], true).as_bytes()),
            None
        );
        assert_eq!(parse_access_reviews(&permissions, b"\xff{"), None);
        assert_eq!(permissions[1].to_string(), "list jobs.batch");
    }
}
