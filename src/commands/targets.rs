//! `targets list`: shows the targets of the policy.

use crate::cli::TargetsCommand;
use crate::error::CommandResult;
use crate::policy::{ActivePolicy, NamedTarget};
use crate::text::escape_controls;
use crate::ui::{PolicyTarget, Ui};

const COLUMNS: [&str; 4] = ["NAME", "CONTEXT", "NAMESPACE", "PROFILE"];

/// The columns whose cells wrap: the names that can be long.
const FLEXIBLE_COLUMNS: &[usize] = &[0, 1, 3];

pub(crate) fn run(
    command: TargetsCommand,
    policy: Option<&ActivePolicy>,
    ui: &Ui,
) -> CommandResult {
    let TargetsCommand::List = command;
    let targets: Vec<PolicyTarget> = policy
        .into_iter()
        .flat_map(|policy| &policy.rules.targets)
        .map(|(name, target)| build_view(name, target))
        .collect();
    if targets.is_empty() {
        let reason = policy.map_or_else(
            || "no policy is active".to_owned(),
            |policy| format!("the policy `{}` has none", policy.file.display()),
        );
        ui.print_lines(&format!("no targets: {reason}"));
    } else {
        let rows: Vec<[String; 4]> = targets.iter().map(format_row).collect();
        ui.print_table(COLUMNS, FLEXIBLE_COLUMNS, &rows);
    }
    ui.update_fields(|fields| fields.targets = Some(targets));
    Ok(None)
}

fn build_view(name: &str, target: &NamedTarget) -> PolicyTarget {
    PolicyTarget {
        name: name.to_owned(),
        context: target.context.clone(),
        namespace: target.namespace.clone(),
        profile: target.defaults.profile.clone().unwrap_or_default(),
    }
}

fn format_row(target: &PolicyTarget) -> [String; 4] {
    [
        &target.name,
        &target.context,
        &target.namespace,
        &target.profile,
    ]
    .map(|cell| escape_controls(cell))
}
