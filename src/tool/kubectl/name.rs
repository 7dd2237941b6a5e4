//! Names and selectors as Kubernetes accepts them, so that none is ever taken for a flag.

/// The name of a namespace.
///
/// # Errors
/// What a namespace looks like.
pub fn parse_namespace(text: &str) -> Result<String, String> {
    if is_dns_label(text) {
        Ok(text.to_owned())
    } else {
        Err(
            "a namespace is 1 to 63 of a-z, 0-9 and -, and neither begins nor ends with -"
                .to_owned(),
        )
    }
}

/// The name of a job.
///
/// # Errors
/// What one looks like.
pub fn parse_job_name(text: &str) -> Result<String, String> {
    let fits = text.len() <= 253 && text.split('.').all(is_dns_label);
    if fits {
        Ok(text.to_owned())
    } else {
        Err("the name of a job, without `job/` in front".to_owned())
    }
}

/// A label selector. An empty one would match every pod.
///
/// # Errors
/// What one looks like.
pub fn parse_selector(text: &str) -> Result<String, String> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=!,() ".contains(c);
    if !text.trim().is_empty() && !text.starts_with('-') && text.chars().all(plain) {
        Ok(text.to_owned())
    } else {
        Err("a label selector looks like app=core or `app in (core, auth)`".to_owned())
    }
}

fn is_dns_label(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=63).contains(&text.len())
        && text.chars().all(inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}
