//! What the compiler cannot check: who may import what, start what and print what.

use crate::sandbox::skipped;
use std::path::{Path, PathBuf};

/// The layers, and what each may name of this crate besides itself. Below means further down in this list.
const LAYERS: &[(&str, &[&str])] = &[
    (
        "app",
        &[
            "audit",
            "cli",
            "error",
            "exec",
            "plan",
            "policy",
            "procedure",
            "profile",
            "secret",
            "tool",
            "ui",
        ],
    ),
    ("cli", &["error", "procedure", "tool", "ui"]),
    ("ui", &["audit", "error", "plan", "tool"]),
    ("exec", &["audit", "error", "policy", "secret", "tool"]),
    ("policy", &["procedure", "tool"]),
    ("procedure", &["error", "plan", "profile", "tool"]),
    ("audit", &["error", "secret", "tool"]),
    ("plan", &["profile", "secret", "tool"]),
    ("profile", &[]),
    ("tool", &["error", "secret"]),
    ("secret", &[]),
    ("error", &[]),
];

/// The layers that touch neither processes nor files nor the environment nor a clock.
const PURE: &[&str] = &[
    "policy",
    "procedure",
    "plan",
    "profile",
    "tool",
    "secret",
    "error",
];

pub struct Source {
    /// Below `src`, such as `exec/spawn.rs`.
    name: String,
    /// Without what follows `#[cfg(test)]`, and without comments.
    pub code: String,
    lines: usize,
}

impl Source {
    fn layer(&self) -> &str {
        self.name.split(['/', '.']).next().expect("a name")
    }
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files_below(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The program's own sources, without their tests.
pub fn sources() -> Vec<Source> {
    let root = project().join("src");
    let mut files = Vec::new();
    files_below(&root, &mut files);
    let name = |path: &Path| {
        path.strip_prefix(&root)
            .expect("below")
            .to_str()
            .expect("text")
            .to_owned()
    };
    let is_test = |name: &str| name.contains("/tests/") || name.ends_with("/tests.rs");
    let sources: Vec<Source> = files
        .iter()
        .filter(|path| !is_test(&name(path)))
        .map(|path| Source {
            name: name(path),
            code: code_of(&text(path)),
            lines: text(path).lines().count(),
        })
        .collect();
    assert!(sources.len() > 30, "the sources are found");
    sources
}

/// Without the tests at its end, and without comments.
fn code_of(text: &str) -> String {
    let program = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    program
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// Fails the test if one of these words is anywhere but in the files that may hold it.
fn only_in(words: &[&str], allowed: impl Fn(&Source) -> bool) {
    let sources = sources();
    for word in words {
        let wrong: Vec<&str> = sources
            .iter()
            .filter(|s| !allowed(s) && s.code.contains(word))
            .map(|s| s.name.as_str())
            .collect();
        assert!(wrong.is_empty(), "`{word}` in {wrong:?}");
    }
}

#[test]
fn one_file_starts_processes() {
    only_in(&["duct::", "Command::new", "process::Command"], |source| {
        source.name == "exec/spawn.rs"
    });
    let spawn = sources()
        .into_iter()
        .find(|source| source.name == "exec/spawn.rs")
        .expect("it is there");
    assert!(spawn.code.contains("duct::cmd") && spawn.code.contains("_recorded: &Begun"));
    assert_eq!(
        spawn.code.matches("duct::").count(),
        1,
        "one function holds every rule of how a process is started"
    );
}

#[test]
fn one_file_reads_the_environment() {
    only_in(
        &["env::var", "env::args", "env::current_dir", "std::env::set"],
        |source| source.name == "main.rs",
    );
}

#[test]
fn one_file_prints() {
    only_in(&["println!", "print!", "dbg!"], |_| false);
    only_in(&["io::stdout", "io::stderr"], |source| {
        source.name == "ui/stream.rs"
    });
}

#[test]
fn pure_layers_touch_nothing() {
    let world = [
        "std::fs",
        "fs::",
        "File::",
        "std::process",
        "std::env",
        "Instant",
        "SystemTime",
        "Timestamp::now",
        "rustix::",
        "std::net",
    ];
    only_in(&world, |source| !PURE.contains(&source.layer()));
}

#[test]
fn only_the_executor_changes_files() {
    let changes = [
        "fs::write",
        "fs::rename",
        "fs::remove",
        "File::create",
        "OpenOptions",
        "fs::copy",
        "create_dir",
        "set_permissions",
        "renameat",
    ];
    only_in(&["ExportDirectory::new"], |source| {
        source.name == "app/audit/export.rs"
    });
    // A rotation changes the record's own names.
    only_in(&changes, |source| {
        source.layer() == "exec" || source.name == "audit/log/rotate.rs"
    });
}

#[test]
fn secrets_are_exposed_in_few_places() {
    let may = [
        "secret.rs",
        "exec/scratch.rs",
        "exec.rs",
        "app/carry_out.rs",
        "app/status.rs",
    ];
    only_in(&[".expose()"], |source| may.contains(&source.name.as_str()));
}

/// The modules of this crate that a source names: `crate::x` and `crate::{x, y::z}`.
fn imports(code: &str) -> Vec<String> {
    let name = |text: &str| {
        text.trim()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect::<String>()
    };
    let mut found = Vec::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            Some(list) => found.extend(
                list.split('}')
                    .next()
                    .unwrap_or_default()
                    .split(',')
                    .map(name),
            ),
            None => found.push(name(rest)),
        }
    }
    found.retain(|name| !name.is_empty());
    found
}

#[test]
fn imports_run_downward() {
    assert_eq!(
        imports("use crate::a::b;\nuse crate::{c, d::e};"),
        ["a", "c", "d"]
    );
    for source in sources()
        .iter()
        .filter(|source| !["main.rs", "lib.rs"].contains(&source.name.as_str()))
    {
        let layer = LAYERS.iter().find(|(name, _)| *name == source.layer());
        let (own, allowed) =
            layer.unwrap_or_else(|| panic!("{} belongs to a layer of this list", source.name));
        for import in imports(&source.code) {
            assert!(
                import == *own || allowed.contains(&import.as_str()),
                "{} imports {import}",
                source.name
            );
        }
    }
}

#[test]
fn no_layer_is_above_itself() {
    let place = |name: &str| {
        LAYERS
            .iter()
            .position(|(layer, _)| *layer == name)
            .expect("a layer")
    };
    for (layer, allowed) in LAYERS {
        assert!(
            allowed.iter().all(|below| place(below) > place(layer)),
            "{layer}"
        );
    }
    let above = ["app", "exec", "audit", "ui", "cli"];
    for layer in PURE {
        assert!(
            LAYERS[place(layer)]
                .1
                .iter()
                .all(|below| !above.contains(below)),
            "{layer}"
        );
    }
}

#[test]
fn files_are_short_and_allow_nothing() {
    for source in sources() {
        assert!(
            source.lines < 400,
            "{} has {} lines",
            source.name,
            source.lines
        );
    }
    let mut files = Vec::new();
    ["src", "tests", "fixtures"]
        .iter()
        .for_each(|place| files_below(&project().join(place), &mut files));
    for file in files.iter().filter(|file| !file.ends_with("suite/tidy.rs")) {
        // What is slow is run by `scripts/check slow`; nothing else is left out.
        let text = text(file).replace("#[ignore = \"slow: scripts/check slow\"]", "");
        let words = [
            "unsafe ",
            "#[allow(",
            "#![allow(",
            "#[ignore",
            "todo!",
            "unimplemented!",
            "dbg!",
        ];
        for word in words {
            assert!(!text.contains(word), "`{word}` in {}", file.display());
        }
        assert!(text.lines().count() < 480, "{}", file.display());
    }
}

#[test]
fn every_dependency_has_a_reason() {
    let manifest = text(&project().join("Cargo.toml"));
    let of = |section: &str| {
        manifest
            .split(&format!("[{section}]\n"))
            .nth(1)
            .expect("a section")
            .split("\n[")
            .next()
    };
    for section in ["dependencies", "dev-dependencies"] {
        for line in of(section)
            .expect("its lines")
            .lines()
            .filter(|line| !line.is_empty())
        {
            assert!(line.contains("# "), "why: {line}");
        }
    }
}

#[test]
fn the_readme_has_every_exit_code() {
    let path = project().join("README.md");
    if !path.exists() {
        skipped("there is no README.md");
        return;
    }
    let readme = text(&path);
    for (_, code, _, meaning) in bypassctl::error::EXIT_CODES {
        let row = readme.lines().any(|line| {
            line.starts_with(&format!("| {code} ")) || line.starts_with(&format!("| `{code}` "))
        });
        assert!(row, "the README has no row for exit code {code}: {meaning}");
    }
}
