//! Names and selectors as Kubernetes accepts them. kubectl can mistake none of them for a flag.

/// Checks the name of a namespace.
///
/// # Errors
/// A description of a valid name.
pub fn parse_namespace(text: &str) -> Result<String, String> {
    if is_dns_label(text) {
        Ok(text.to_owned())
    } else {
        let rule = "a namespace has 1 to 63 characters of a-z, 0-9 and -, \
                    and starts and ends with a letter or digit";
        Err(rule.to_owned())
    }
}

/// Checks the name of a job.
///
/// # Errors
/// A description of a valid name.
pub fn parse_job_name(text: &str) -> Result<String, String> {
    let is_valid = text.len() <= 253 && text.split('.').all(is_dns_label);
    if is_valid {
        Ok(text.to_owned())
    } else {
        Err("use the name of a job, without `job/` before it".to_owned())
    }
}

/// Checks a label `name=value`.
///
/// # Errors
/// An example of a label.
pub fn parse_label(text: &str) -> Result<String, String> {
    let is_part = |part: &str| {
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        !part.is_empty() && part.chars().all(is_allowed)
    };
    match text.split_once('=') {
        Some((name, value)) if is_part(name) && is_part(value) => Ok(text.to_owned()),
        _ => Err("use a label such as `app=ingester`".to_owned()),
    }
}

/// Checks a label selector. An empty one would match every pod.
///
/// # Errors
/// Examples of a label selector.
pub fn parse_selector(text: &str) -> Result<String, String> {
    let is_allowed = |c: char| c.is_ascii_alphanumeric() || "-_./=!,() ".contains(c);
    if !text.trim().is_empty() && !text.starts_with('-') && text.chars().all(is_allowed) {
        Ok(text.to_owned())
    } else {
        Err("use a label selector such as `app=core` or `app in (core, auth)`".to_owned())
    }
}

fn is_dns_label(text: &str) -> bool {
    let is_allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&text.len())
        && text.chars().all(is_allowed)
        && !text.starts_with('-')
        && !text.ends_with('-')
}
