//! The documented procedures, one per file: facts in, plan out. They use no process, file,
//! environment or clock.

pub mod disable;
pub mod enable;
pub mod revoke;

use regex::RegexBuilder;

/// The default patterns of production contexts and namespaces. `*` matches anything.
pub const PRODUCTION_PATTERNS: &[&str] = &["*prod*"];

/// Returns the first name that matches a production pattern, ignoring case.
#[must_use]
pub fn find_production_name<'a>(names: &[&'a str], patterns: &[&str]) -> Option<&'a str> {
    let matches = |name: &str, pattern: &str| {
        let expression = format!("^{}$", regex::escape(pattern).replace(r"\*", ".*"));
        RegexBuilder::new(&expression)
            .case_insensitive(true)
            .dot_matches_new_line(true)
            .build()
            .is_ok_and(|regex| regex.is_match(name))
    };
    names
        .iter()
        .copied()
        .find(|name| patterns.iter().any(|pattern| matches(name, pattern)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn production_name_is_found_in_context_or_namespace() {
        let find = |names: &[&'static str]| find_production_name(names, PRODUCTION_PATTERNS);
        assert_eq!(find(&["sim-dev", "influxdb"]), None);
        assert_eq!(find(&["sim-dev", "influxdb-PROD"]), Some("influxdb-PROD"));
        assert_eq!(find(&["production", "influxdb"]), Some("production"));
        assert_eq!(find(&["reproduce.me", "x"]), Some("reproduce.me"));
        assert_eq!(find_production_name(&["a.c"], &["a.c"]), Some("a.c"));
        assert_eq!(find_production_name(&["abc"], &["a.c"]), None);
    }
}
