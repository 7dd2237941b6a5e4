//! Examples in the help and the manual page of each command. The tests run them.

use crate::error::EXIT_CODES;
use crate::ui::PROGRAM_NAME;
use clap::Command;

/// The examples of one command.
pub struct Examples {
    /// The command, such as `audit list`, empty for the program itself.
    pub command: &'static str,
    /// Command lines, each with a comment that may be empty.
    pub lines: &'static [(&'static str, &'static str)],
    /// A paragraph after the examples, may be empty.
    pub note: &'static str,
}

const RESUME_NOTE: &str = "Re-running is safe: the command resumes an interrupted run.";

pub const EXAMPLES: &[Examples] = &[
    new_examples(
        "",
        &[
            (
                "bypassctl doctor -n influxdb",
                "checks tools, cluster and files",
            ),
            ("bypassctl enable -n influxdb --dry-run", "shows the plan"),
            ("bypassctl enable -n influxdb --reason CHG-12", ""),
            (
                "bypassctl status -n influxdb",
                "shows whether the server accepts the token",
            ),
            ("bypassctl disable", "deletes the token file"),
            ("bypassctl audit verify", "verifies the audit log"),
        ],
        "",
    ),
    new_examples(
        "enable",
        &[
            ("bypassctl enable -n influxdb --dry-run", "shows the plan"),
            ("bypassctl enable -n influxdb --reason CHG-12", ""),
            (
                concat!(
                    "bypassctl enable -n influxdb --profile dev ",
                    "--create-profile --host HOST --port 443"
                ),
                "",
            ),
        ],
        "",
    ),
    new_examples(
        "disable",
        &[
            ("bypassctl disable --dry-run", "shows the plan"),
            ("bypassctl disable", ""),
        ],
        "",
    ),
    new_examples(
        "revoke",
        &[
            (
                "bypassctl revoke -n influxdb --dry-run",
                "runs all checks, changes nothing",
            ),
            (
                "bypassctl revoke -n influxdb --reason CHG-12",
                "asks before the first change",
            ),
            (
                "bypassctl revoke -n influxdb --confirm my-context/influxdb",
                "in CI",
            ),
        ],
        RESUME_NOTE,
    ),
    new_examples(
        "rotate",
        &[
            (
                "bypassctl rotate -n influxdb --dry-run",
                "runs all checks, changes nothing",
            ),
            (
                "bypassctl rotate -n influxdb --profile dev --profile test",
                "",
            ),
            (
                "bypassctl rotate -n influxdb --all-profiles --confirm my-context/influxdb",
                "",
            ),
            (
                "bypassctl rotate -n influxdb --if-older-than 90d --confirm my-context/influxdb",
                "",
            ),
        ],
        RESUME_NOTE,
    ),
    new_examples(
        "status",
        &[
            (
                "bypassctl status -n influxdb",
                "exits with 0 if the token is accepted",
            ),
            (
                "bypassctl status -n influxdb --max-age 90d",
                "exits with 3 if the token is older",
            ),
            (
                "bypassctl status -n influxdb -o junit >status.xml",
                "for a test report",
            ),
            (
                "bypassctl disable && bypassctl status --require off",
                "exits with 3 if a token is in use",
            ),
        ],
        "",
    ),
    new_examples(
        "doctor",
        &[
            (
                "bypassctl doctor -n influxdb",
                "every failed check has a hint",
            ),
            (
                "bypassctl doctor -n influxdb --role >role.yaml",
                "the permissions, for kubectl apply",
            ),
            (
                "bypassctl doctor -n influxdb -o json >doctor.json",
                "for a bug report, contains no token",
            ),
        ],
        "",
    ),
    new_examples("plan", PLAN_AND_APPLY, ""),
    new_examples(
        "plan enable",
        &[(
            "bypassctl plan enable -n influxdb --out enable.plan",
            "prints its SHA-256",
        )],
        "",
    ),
    new_examples(
        "plan disable",
        &[(
            "bypassctl plan disable --out disable.plan",
            "prints its SHA-256",
        )],
        "",
    ),
    new_examples(
        "plan revoke",
        &[(
            "bypassctl plan revoke -n influxdb --out revoke.plan",
            "prints its SHA-256",
        )],
        "",
    ),
    new_examples(
        "plan rotate",
        &[(
            "bypassctl plan rotate -n influxdb --out rotate.plan",
            "prints its SHA-256",
        )],
        "",
    ),
    new_examples(
        "plan show",
        &[
            (
                "bypassctl plan show revoke.plan",
                "shows the steps and the SHA-256",
            ),
            (
                "bypassctl plan show revoke.plan --format script",
                "as a POSIX script",
            ),
        ],
        "",
    ),
    new_examples(
        "apply",
        PLAN_AND_APPLY,
        "Runs the checks of the planned command. Exits with 4 if a tool, the cluster, a UID, a \
         file or a step differs from the plan. Re-run it to resume an interrupted plan with the \
         same audit log.",
    ),
    new_examples(
        "tools",
        &[
            ("bypassctl tools list", ""),
            ("bypassctl tools pin --write", ""),
            ("bypassctl tools verify", ""),
        ],
        "",
    ),
    new_examples(
        "tools list",
        &[(
            "bypassctl tools list",
            "shows versions, digests and writers",
        )],
        "",
    ),
    new_examples(
        "tools pin",
        &[
            ("bypassctl tools pin", "prints the [tools] section"),
            (
                "bypassctl tools pin --write",
                "updates the policy, or creates bypassctl.toml",
            ),
        ],
        "",
    ),
    new_examples(
        "tools verify",
        &[("bypassctl tools verify", "exits with 4 on a mismatch")],
        "",
    ),
    new_examples("targets", LIST_TARGETS, ""),
    new_examples("targets list", LIST_TARGETS, ""),
    new_examples("policy", TRUST_POLICY, ""),
    new_examples("policy trust", TRUST_POLICY, ""),
    new_examples(
        "audit",
        &[
            ("bypassctl audit list", "lists the runs"),
            ("bypassctl audit show RUN", "shows one run"),
            ("bypassctl audit verify", "verifies the audit log"),
        ],
        "",
    ),
    new_examples(
        "audit verify",
        &[
            ("bypassctl audit verify", "the current log and its segments"),
            (
                "bypassctl audit verify audit.jsonl --expect SEQ:HASH",
                "a copy against a stored head",
            ),
        ],
        "",
    ),
    new_examples(
        "audit list",
        &[
            (
                "bypassctl audit list",
                "the latest runs that changed something",
            ),
            (
                "bypassctl audit list --since 2d --include-reads",
                "all runs of the last two days",
            ),
            (
                "bypassctl audit list --since 2026-01-01 --command enable --outcome done",
                "",
            ),
            ("bypassctl audit list audit.jsonl", "reads a copy"),
        ],
        "",
    ),
    new_examples(
        "audit show",
        &[
            ("bypassctl audit show", "the last run"),
            (
                "bypassctl audit show RUN",
                "the ID from `audit list`, or a unique prefix",
            ),
        ],
        "",
    ),
    new_examples(
        "audit export",
        &[
            (
                "bypassctl audit export --run RUN >run.sh",
                "commands to read",
            ),
            (
                "bypassctl audit export --format html >audit.html",
                "page for an auditor",
            ),
            ("mkdir out", "statements to sign elsewhere"),
            (
                "bypassctl audit export --format in-toto --run RUN --directory out",
                "",
            ),
            (
                concat!(
                    "for f in out/*.pae; do openssl dgst -sha256 -sign key.pem ",
                    "-out \"${f%.pae}.sig\" \"$f\"; done"
                ),
                "",
            ),
            (
                concat!(
                    "bypassctl audit export --format in-toto --run RUN ",
                    "--directory out --attach-signature site-key"
                ),
                "",
            ),
        ],
        "",
    ),
    new_examples(
        "audit anchor",
        &[
            ("bypassctl audit anchor >head", "store it in a ticket"),
            (
                "bypassctl audit verify --expect SEQ:HASH",
                "detects every change before the head",
            ),
            (
                "ssh-keygen -Y sign -f key -n audit@example.com head",
                "signs the head",
            ),
            (
                concat!(
                    "ssh-keygen -Y verify -f allowed_signers -I me@example.com ",
                    "-n audit@example.com -s head.sig <head"
                ),
                "",
            ),
            (
                "minisign -S -s minisign.key -m head",
                "signs it with minisign",
            ),
            ("minisign -V -p minisign.pub -m head", ""),
        ],
        "",
    ),
    new_examples(
        "audit rotate-log",
        &[(
            "bypassctl audit rotate-log",
            "prints both heads, to store elsewhere",
        )],
        "",
    ),
    new_examples(
        "version",
        &[("bypassctl version", ""), ("bypassctl version -o json", "")],
        "",
    ),
    new_examples(
        "completion",
        &[
            ("source <(bypassctl completion bash)", "in ~/.bashrc"),
            (
                "source <(bypassctl completion zsh)",
                "in ~/.zshrc, after compinit",
            ),
            (
                "bypassctl completion fish | source",
                "in ~/.config/fish/config.fish",
            ),
        ],
        "",
    ),
];

const LIST_TARGETS: &[(&str, &str)] = &[("bypassctl targets list", "shows the names for --target")];

const TRUST_POLICY: &[(&str, &str)] = &[(
    "bypassctl policy trust",
    "the policy of this directory, until it changes",
)];

const PLAN_AND_APPLY: &[(&str, &str)] = &[
    (
        "bypassctl plan revoke -n influxdb --out revoke.plan",
        "prints its SHA-256",
    ),
    (
        "bypassctl plan show revoke.plan",
        "shows it to the approver",
    ),
    (
        "bypassctl apply revoke.plan --expect SHA256 --confirm my-context/influxdb",
        "",
    ),
];

const fn new_examples(
    command: &'static str,
    lines: &'static [(&str, &str)],
    note: &'static str,
) -> Examples {
    Examples {
        command,
        lines,
        note,
    }
}

impl Examples {
    /// Renders the command lines, with this program name and aligned comments.
    #[must_use]
    pub fn to_rows(&self, program_name: &str) -> Vec<String> {
        let lines = self
            .lines
            .iter()
            .map(|(line, comment)| (line.replace(PROGRAM_NAME, program_name), *comment));
        let lines: Vec<_> = lines.collect();
        let width = lines
            .iter()
            .filter(|(_, comment)| !comment.is_empty())
            .map(|(line, _)| line.len())
            .max()
            .unwrap_or(0);
        let row = |(line, comment): (String, &str)| {
            if comment.is_empty() {
                line
            } else {
                format!("{line:width$}   # {comment}")
            }
        };
        lines.into_iter().map(row).collect()
    }
}

/// Adds the examples, with this program name, to the help of every command.
pub(super) fn add_examples(command: Command, program_name: &str) -> Command {
    add_examples_to(command, "", program_name).after_help(format!(
        "Start with `{program_name} doctor -n NS`. \
         Exit codes: `{program_name} --help`"
    ))
}

fn add_examples_to(mut command: Command, path: &str, program_name: &str) -> Command {
    if let Some(help) = render_examples(path, program_name) {
        command = command.after_long_help(help);
    }
    command.mut_subcommands(|subcommand| {
        let path = format!("{path} {}", subcommand.get_name());
        add_examples_to(subcommand, path.trim_start(), program_name)
    })
}

/// Renders the examples of a command, with the exit codes for the program itself.
fn render_examples(command: &str, program_name: &str) -> Option<String> {
    let examples = EXAMPLES
        .iter()
        .find(|examples| examples.command == command)?;
    let lines = examples.to_rows(program_name).join("\n  ");
    let more = if command.is_empty() {
        render_exit_codes()
    } else {
        examples.note.to_owned()
    };
    Some(
        format!("Examples:\n  {lines}\n\n{more}")
            .trim_end()
            .to_owned(),
    )
}

fn render_exit_codes() -> String {
    let line = |(_, code, _, meaning): &(_, u8, _, &str)| {
        format!("  {code:>3}  {}\n", meaning.replace('`', ""))
    };
    format!(
        "Exit codes:\n{}",
        EXIT_CODES.iter().map(line).collect::<String>()
    )
}
