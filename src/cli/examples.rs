//! What each command's help and manual page have as examples. The tests run them.

use super::render_exit_codes;

/// Lines to be typed, each with what it is for, and what else is to be said of a command.
pub struct Examples {
    /// The command: `audit list`; empty for the program itself.
    pub command: &'static str,
    /// Each line, and why, which may be empty.
    pub lines: &'static [(&'static str, &'static str)],
    /// What else is to be said.
    pub note: &'static str,
}

const RESUME_NOTE: &str = "Run again after anything: it carries on from what is there.";

/// Those of every command.
pub const EXAMPLES: &[Examples] = &[
    new_examples(
        "",
        &[
            (
                "bypassctl doctor -n influxdb",
                "what is missing, and what mends it",
            ),
            (
                "bypassctl enable -n influxdb --dry-run",
                "what would be done",
            ),
            ("bypassctl enable -n influxdb --reason CHG-12", ""),
            ("bypassctl status -n influxdb", "is it in use, and accepted"),
            ("bypassctl disable", "before production"),
            ("bypassctl audit verify", "is the record whole"),
        ],
        "",
    ),
    new_examples(
        "enable",
        &[
            (
                "bypassctl enable -n influxdb --dry-run",
                "what would be done",
            ),
            ("bypassctl enable -n influxdb --reason CHG-12", ""),
            (
                "bypassctl enable -n influxdb --profile dev --create-profile --host HOST --port 443",
                "",
            ),
        ],
        "",
    ),
    new_examples(
        "disable",
        &[
            ("bypassctl disable --dry-run", "what would be done"),
            ("bypassctl disable", ""),
        ],
        "",
    ),
    new_examples(
        "revoke",
        &[
            (
                "bypassctl revoke -n influxdb --dry-run",
                "looks and proves, changes nothing",
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
                "looks and proves, changes nothing",
            ),
            (
                "bypassctl rotate -n influxdb --profile dev --profile test",
                "",
            ),
            (
                "bypassctl rotate -n influxdb --all-profiles --confirm my-context/influxdb",
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
                "ends with 0 where it is in use, and accepted",
            ),
            (
                "bypassctl status -n influxdb -o junit >status.xml",
                "for a test report",
            ),
        ],
        "",
    ),
    new_examples(
        "doctor",
        &[
            (
                "bypassctl doctor -n influxdb",
                "each check that fails has a hint",
            ),
            (
                "bypassctl doctor -n influxdb -o json >doctor.json",
                "for a bug report: it holds no token",
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
                "what it does, and its SHA-256",
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
        "Looks and proves as the command itself does, and refuses (exit code 4) where anything is not as the plan has it: a tool, the cluster, a UID, a file, a step. A plan that was cut short is carried on with by the same command, where the record is that shows it.",
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
            "which would run, and who can replace them",
        )],
        "",
    ),
    new_examples(
        "tools pin",
        &[
            ("bypassctl tools pin", "the [tools] section, to paste"),
            (
                "bypassctl tools pin --write",
                "into the policy in force, or a new bypassctl.toml here",
            ),
        ],
        "",
    ),
    new_examples(
        "tools verify",
        &[("bypassctl tools verify", "as the first step of a job")],
        "",
    ),
    new_examples(
        "audit",
        &[
            ("bypassctl audit list", "the runs"),
            ("bypassctl audit show RUN", "one of them"),
            ("bypassctl audit verify", "is the record whole"),
        ],
        "",
    ),
    new_examples(
        "audit verify",
        &[
            ("bypassctl audit verify", "one's own, the closed logs too"),
            (
                "bypassctl audit verify audit.jsonl --expect SEQ:HASH",
                "a copy, and a head kept elsewhere",
            ),
        ],
        "",
    ),
    new_examples(
        "audit list",
        &[
            ("bypassctl audit list", ""),
            (
                "bypassctl audit list --since 2026-01-01 --command enable --outcome done",
                "",
            ),
            ("bypassctl audit list audit.jsonl", "a copy"),
        ],
        "",
    ),
    new_examples(
        "audit show",
        &[(
            "bypassctl audit show RUN",
            "its name in `audit list`, or how that begins",
        )],
        "",
    ),
    new_examples(
        "audit export",
        &[
            (
                "bypassctl audit export --run RUN >run.sh",
                "its commands, for reading",
            ),
            (
                "bypassctl audit export --format html >record.html",
                "a page for an auditor",
            ),
            ("mkdir out", "statements, to be signed elsewhere"),
            (
                "bypassctl audit export --format in-toto --run RUN --directory out",
                "",
            ),
            (
                "for f in out/*.pae; do openssl dgst -sha256 -sign key.pem -out \"${f%.pae}.sig\" \"$f\"; done",
                "",
            ),
            (
                "bypassctl audit export --format in-toto --run RUN --directory out --attach-signature site-key",
                "",
            ),
        ],
        "",
    ),
    new_examples(
        "audit anchor",
        &[
            (
                "bypassctl audit anchor >head",
                "kept in a ticket it is enough",
            ),
            (
                "bypassctl audit verify --expect SEQ:HASH",
                "finds every change to what came before",
            ),
            (
                "ssh-keygen -Y sign -f key -n audit@example.com head",
                "signed, it says by whom",
            ),
            (
                "ssh-keygen -Y verify -f allowed_signers -I me@example.com -n audit@example.com -s head.sig <head",
                "",
            ),
            ("minisign -S -s minisign.key -m head", "or by minisign"),
            ("minisign -V -p minisign.pub -m head", ""),
        ],
        "",
    ),
    new_examples(
        "audit rotate-log",
        &[(
            "bypassctl audit rotate-log",
            "tells the heads of both: keep them elsewhere",
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

const PLAN_AND_APPLY: &[(&str, &str)] = &[
    (
        "bypassctl plan revoke -n influxdb --out revoke.plan",
        "prints its SHA-256",
    ),
    ("bypassctl plan show revoke.plan", "for who approves"),
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
    /// The lines with what they are for, side by side.
    #[must_use]
    pub fn to_rows(&self) -> Vec<String> {
        let width = self
            .lines
            .iter()
            .filter(|(_, why)| !why.is_empty())
            .map(|(line, _)| line.len())
            .max()
            .unwrap_or(0);
        let row = |(line, why): &(&str, &str)| {
            if why.is_empty() {
                (*line).to_owned()
            } else {
                format!("{line:width$}   # {why}")
            }
        };
        self.lines.iter().map(row).collect()
    }
}

/// A command's, as its help shows them; the program's own has the exit codes as well.
pub(super) fn render_examples(command: &str) -> String {
    let Some(examples) = EXAMPLES.iter().find(|examples| examples.command == command) else {
        return String::new();
    };
    let lines = examples.to_rows().join("\n  ");
    let more = if command.is_empty() {
        render_exit_codes()
    } else {
        examples.note.to_owned()
    };
    format!("Examples:\n  {lines}\n\n{more}")
        .trim_end()
        .to_owned()
}
