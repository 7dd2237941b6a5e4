//! Checks what the compiler cannot: imports, processes, files, output, secrets.

mod imports;

use crate::sandbox::report_skipped;
use imports::{ImportGraph, build_import_graph, find_cycles};
use std::path::{Path, PathBuf};

/// The layers from top to bottom. A file imports from its own line and from lines below it.
const LAYERS: &[&[&str]] = &[
    &["main"],
    &["app"],
    &["commands"],
    &["steps"],
    &["session"],
    &["plan_file"],
    &["exec"],
    &["cli"],
    &["policy"],
    &["ui"],
    &["procedure"],
    &["audit"],
    &["plan"],
    &["tool"],
    &["profile"],
    &[
        "redact", "secret", "digest", "splice", "text", "host", "error",
    ],
];

/// The layers that touch neither processes nor files nor the environment nor a clock.
const PURE_LAYERS: &[&str] = &[
    "policy",
    "procedure",
    "plan",
    "profile",
    "tool",
    "redact",
    "secret",
    "digest",
    "splice",
    "text",
    "error",
];

pub struct SourceFile {
    /// Below `src`, such as `exec/spawn.rs`.
    path: String,
    /// The text without unit tests and comments.
    pub code: String,
    line_count: usize,
}

impl SourceFile {
    fn layer(&self) -> &str {
        self.path.split(['/', '.']).next().expect("a name")
    }
}

fn project_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn collect_rust_files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect_rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn read_text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Reads the program's sources, without their tests.
pub fn read_sources() -> Vec<SourceFile> {
    let root = project_root().join("src");
    let mut files = Vec::new();
    collect_rust_files(&root, &mut files);
    let name = |path: &Path| {
        path.strip_prefix(&root)
            .expect("below")
            .to_str()
            .expect("text")
            .to_owned()
    };
    let is_test = |name: &str| name.contains("/tests/") || name.ends_with("/tests.rs");
    let sources: Vec<SourceFile> = files
        .iter()
        .filter(|path| !is_test(&name(path)))
        .map(|path| SourceFile {
            path: name(path),
            code: strip_tests_and_comments(&read_text(path)),
            line_count: read_text(path).lines().count(),
        })
        .collect();
    assert!(sources.len() > 30, "the sources are found");
    sources
}

/// Removes the unit tests at the end of a file, and comments.
fn strip_tests_and_comments(text: &str) -> String {
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

/// Fails the test if a file other than the allowed ones contains one of these words.
fn assert_words_only_in(words: &[&str], allowed: impl Fn(&SourceFile) -> bool) {
    let sources = read_sources();
    for word in words {
        let wrong: Vec<&str> = sources
            .iter()
            .filter(|s| !allowed(s) && s.code.contains(word))
            .map(|s| s.path.as_str())
            .collect();
        assert!(wrong.is_empty(), "`{word}` in {wrong:?}");
    }
}

#[test]
fn processes_are_started_in_one_file() {
    assert_words_only_in(&["duct::", "Command::new", "process::Command"], |source| {
        source.path == "exec/spawn.rs"
    });
    let spawn = read_sources()
        .into_iter()
        .find(|source| source.path == "exec/spawn.rs")
        .expect("the file exists");
    assert!(spawn.code.contains("duct::cmd") && spawn.code.contains("_receipt: &Receipt"));
    assert_eq!(
        spawn.code.matches("duct::").count(),
        1,
        "one function starts all processes"
    );
}

#[test]
fn environment_is_read_in_one_file() {
    assert_words_only_in(
        &["env::var", "env::args", "env::current_dir", "std::env::set"],
        |source| source.path == "main.rs",
    );
}

#[test]
fn output_is_printed_in_one_file() {
    assert_words_only_in(&["println!", "print!", "dbg!"], |_| false);
    assert_words_only_in(&["io::stdout", "io::stderr"], |source| {
        source.path == "ui/stream.rs"
    });
}

#[test]
fn pure_layers_access_no_external_state() {
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
    assert_words_only_in(&world, |source| !PURE_LAYERS.contains(&source.layer()));
}

#[test]
fn files_are_changed_only_by_executor() {
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
    assert_words_only_in(&["ExportDirectory::new"], |source| {
        source.path == "commands/audit/export.rs"
    });
    // Log rotation renames the audit log's own files.
    assert_words_only_in(&changes, |source| {
        source.layer() == "exec"
            || ["audit/log/rotate.rs", "audit/log/rotation.rs"].contains(&source.path.as_str())
    });
}

#[test]
fn secrets_are_exposed_only_in_allowed_files() {
    let allowed = [
        "secret.rs",
        "redact.rs",
        "exec/scratch.rs",
        "exec/run.rs",
        "exec/state_file.rs",
        "steps/token.rs",
    ];
    assert_words_only_in(&[".expose_secret()"], |source| {
        allowed.contains(&source.path.as_str())
    });
}

/// Builds the import graph of the program's sources, without `lib.rs`.
fn build_source_graph() -> ImportGraph {
    let files: Vec<(String, String)> = read_sources()
        .into_iter()
        .filter(|source| source.path != "lib.rs")
        .map(|source| (source.path, source.code))
        .collect();
    build_import_graph(&files)
}

#[test]
fn files_do_not_import_each_other_in_a_cycle() {
    let cycles: Vec<String> = find_cycles(&build_source_graph())
        .iter()
        .map(|cycle| cycle.join(" -> "))
        .collect();
    assert!(cycles.is_empty(), "{cycles:#?}");
}

#[test]
fn imports_lead_to_lower_layers() {
    let place = |file: &str| {
        let name = file.split(['/', '.']).next().expect("a name");
        LAYERS
            .iter()
            .position(|layer| layer.contains(&name))
            .unwrap_or_else(|| panic!("{file} belongs to no layer"))
    };
    let graph = build_source_graph();
    let edges = graph
        .iter()
        .flat_map(|(file, imports)| imports.iter().map(move |import| (file, import)));
    let upward: Vec<String> = edges
        .filter(|(file, import)| place(file) > place(import))
        .map(|(file, import)| format!("{file} -> {import}"))
        .collect();
    assert!(upward.is_empty(), "{upward:#?}");
}

#[test]
fn source_files_are_short_without_lint_exceptions() {
    for source in read_sources() {
        assert!(
            source.line_count <= 600,
            "{} has {} lines",
            source.path,
            source.line_count
        );
    }
    let mut files = Vec::new();
    ["src", "tests", "fixtures"]
        .iter()
        .for_each(|place| collect_rust_files(&project_root().join(place), &mut files));
    for file in files
        .iter()
        .filter(|file| !file.ends_with("suite/architecture.rs"))
    {
        // `scripts/check slow` runs the slow tests. No other test is ignored.
        let text = read_text(file).replace("#[ignore = \"slow: scripts/check slow\"]", "");
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
        assert!(text.lines().count() <= 800, "{}", file.display());
    }
}

#[test]
fn every_dependency_has_a_comment() {
    let manifest = read_text(&project_root().join("Cargo.toml"));
    let list_names = |section: &str| {
        manifest
            .split(&format!("[{section}]\n"))
            .nth(1)
            .expect("a section")
            .split("\n[")
            .next()
    };
    for section in ["dependencies", "dev-dependencies"] {
        for line in list_names(section)
            .expect("its lines")
            .lines()
            .filter(|line| !line.is_empty())
        {
            assert!(line.contains("# "), "no comment: {line}");
        }
    }
}

#[test]
fn readme_lists_every_exit_code() {
    let path = project_root().join("README.md");
    if !path.exists() {
        report_skipped("README.md is missing");
        return;
    }
    let readme = read_text(&path);
    for (_, code, _, meaning) in bypassctl::error::EXIT_CODES {
        let row = readme.lines().any(|line| {
            line.starts_with(&format!("| {code} ")) || line.starts_with(&format!("| `{code}` "))
        });
        assert!(row, "the README has no row for exit code {code}: {meaning}");
    }
}
