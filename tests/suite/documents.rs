//! The documents: their command lines parse and work, their links lead somewhere, and every exit
//! code is documented.

mod command_blocks;
mod errors;
mod help_examples;

use bypassctl::cli::Cli;
use bypassctl::error::EXIT_CODES;
use clap::Parser as _;
use clap::error::ErrorKind;
use regex::Regex;
use saphyr::{LoadableYamlNode as _, Yaml};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Placeholders in documents, each with a value that the command line accepts.
const PLACEHOLDERS: &[(&str, &str)] = &[
    (
        "SHA256",
        "6a17dd8387783b3144a65535e38d02c351027e9718ea34a6c360476cb26d28bb",
    ),
    (
        "$PLANNED",
        "6a17dd8387783b3144a65535e38d02c351027e9718ea34a6c360476cb26d28bb",
    ),
    (
        "$SEQ_AND_HASH",
        "41:6a17dd8387783b3144a65535e38d02c351027e9718ea34a6c360476cb26d28bb",
    ),
    (
        "$(cat head)",
        "41:6a17dd8387783b3144a65535e38d02c351027e9718ea34a6c360476cb26d28bb",
    ),
];

/// First components of paths in the repository.
const REPOSITORY_PREFIXES: &[&str] = &[
    "scripts/",
    "docs/",
    "src/",
    "tests/",
    "fixtures/",
    ".ci/",
    ".github/",
];

fn project_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read_text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn list_files(directory: &str, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(project_root().join(directory))
        .expect(directory)
        .flatten()
        .map(|entry| entry.path());
    let mut files: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|e| e == extension))
        .collect();
    files.sort();
    files
}

/// Reads all documents.
fn read_documents() -> Vec<(PathBuf, String)> {
    let own = [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "CHANGELOG.md",
    ]
    .map(|name| project_root().join(name));
    let files: Vec<PathBuf> = own.into_iter().chain(list_files("docs", "md")).collect();
    assert!(files.len() > 10, "the documents are found: {files:?}");
    files
        .into_iter()
        .map(|path| (path.clone(), read_text(&path)))
        .collect()
}

/// A document, split into its parts.
#[derive(Default)]
struct DocumentParts {
    /// The blocks of code.
    blocks: Vec<CodeBlock>,
    /// Inline code.
    code_spans: Vec<String>,
    /// The anchors of the headings.
    anchors: BTreeSet<String>,
    /// The text without code.
    prose: String,
}

/// A block of code with its language.
struct CodeBlock {
    language: String,
    /// Its lines, joined where a backslash continues one.
    lines: Vec<String>,
}

impl DocumentParts {
    /// Returns the lines of `sh` and `console` blocks.
    fn shell_lines(&self) -> impl Iterator<Item = &str> {
        let shell = self
            .blocks
            .iter()
            .filter(|block| ["sh", "console"].contains(&block.language.as_str()));
        shell.flat_map(|block| block.lines.iter().map(|line| line.trim()))
    }
}

fn parse_document(document: &str) -> DocumentParts {
    let span = Regex::new("`([^`\n]+)`").expect("a pattern");
    let mut parts = DocumentParts::default();
    let mut block: Option<CodeBlock> = None;
    for line in document.replace("\\\n", " ").lines() {
        match (&mut block, line.trim_start().strip_prefix("```")) {
            (Some(_), Some(_)) => parts.blocks.extend(block.take()),
            (None, Some(language)) => {
                block = Some(CodeBlock {
                    language: language.trim().to_owned(),
                    lines: Vec::new(),
                })
            }
            (Some(block), None) => block.lines.push(line.to_owned()),
            (None, None) => {
                parts
                    .code_spans
                    .extend(span.captures_iter(line).map(|found| found[1].to_owned()));
                if line.starts_with('#') {
                    parts.anchors.insert(make_anchor(line, &parts.anchors));
                }
                parts.prose += &span.replace_all(line, "");
                parts.prose.push('\n');
            }
        }
    }
    assert!(block.is_none(), "a block of code has no end");
    parts
}

/// Returns GitHub's anchor of a heading. Further headings of the same text get a number.
fn make_anchor(heading: &str, taken: &BTreeSet<String>) -> String {
    let kept = |c: &char| c.is_alphanumeric() || [' ', '-', '_'].contains(c);
    let heading = heading.trim_start_matches('#').trim().to_lowercase();
    let name = heading
        .chars()
        .filter(kept)
        .collect::<String>()
        .replace(' ', "-");
    let numbered = (1..).map(|n| format!("{name}-{n}"));
    std::iter::once(name.clone())
        .chain(numbered)
        .find(|name| !taken.contains(name))
        .expect("a name that is free")
}

/// Cuts a shell line where the command ends: at a comment, a redirection or another command.
fn extract_command(line: &str) -> &str {
    let (mut quote, mut before) = (None, ' ');
    for (at, c) in line.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if ['\'', '"'].contains(&c) => quote = Some(c),
            None if ['|', '>', '<', ';', '&'].contains(&c)
                || c == '#' && before.is_whitespace() =>
            {
                return &line[..at];
            }
            None => {}
        }
        before = c;
    }
    line
}

/// Returns why the program rejects a command line.
fn find_parse_error(words: &[String]) -> Option<String> {
    match Cli::try_parse_from(words) {
        Err(error)
            if ![ErrorKind::DisplayHelp, ErrorKind::DisplayVersion].contains(&error.kind()) =>
        {
            Some(error.to_string())
        }
        _ => None,
    }
}

/// Returns the words of a line that starts the program.
fn split_command_line(line: &str) -> Option<Vec<String>> {
    let line = line.strip_prefix("$ ").unwrap_or(line);
    let words = shlex::split(extract_command(line))
        .unwrap_or_else(|| panic!("not a line of a shell: {line}"));
    Some(words).filter(|words| words.first().is_some_and(|first| first == "bypassctl"))
}

#[test]
fn documented_command_lines_parse() {
    let (mut seen, mut used, mut wrong) = (0, BTreeSet::new(), Vec::new());
    for (path, document) in read_documents() {
        for line in parse_document(&document)
            .shell_lines()
            .filter(|line| line.trim_start_matches("$ ").starts_with("bypassctl"))
        {
            let mut words =
                split_command_line(line).unwrap_or_else(|| panic!("{}: {line}", path.display()));
            for word in &mut words {
                if let Some((placeholder, value)) = PLACEHOLDERS
                    .iter()
                    .find(|(placeholder, _)| placeholder == word)
                {
                    used.insert(*placeholder);
                    *word = (*value).to_owned();
                }
            }
            seen += 1;
            wrong.extend(
                find_parse_error(&words).map(|why| format!("{}: {line}\n{why}\n", path.display())),
            );
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.concat());
    assert!(seen > 50, "only {seen} command lines are found");
    let unused: Vec<_> = PLACEHOLDERS
        .iter()
        .filter(|(placeholder, _)| !used.contains(placeholder))
        .collect();
    assert!(unused.is_empty(), "no document has {unused:?}");
}

#[test]
fn command_line_splitting_matches_shell_rules() {
    let words = |line| split_command_line(line).expect("the program").join(" ");
    assert_eq!(
        words("$ bypassctl status -n x   # why"),
        "bypassctl status -n x"
    );
    assert_eq!(
        words("bypassctl status -o json | jq -r .outcome"),
        "bypassctl status -o json"
    );
    assert_eq!(
        words("bypassctl audit export --format html >a.html"),
        "bypassctl audit export --format html"
    );
    assert_eq!(
        words("bypassctl apply p --reason 'a > b # c' || code=$?"),
        "bypassctl apply p --reason a > b # c"
    );
    let refused = |line: &str| find_parse_error(&shlex::split(line).expect("words")).is_some();
    assert!(!refused("bypassctl enable -n influxdb") && !refused("bypassctl --version"));
    assert!(
        refused("bypassctl enabel -n influxdb") && refused("bypassctl enable --no-such-option")
    );
    assert!(
        refused("bypassctl apply the.plan --expect SHA256"),
        "what is a placeholder is replaced for a reason"
    );
}

/// Returns the broken links of a document.
fn find_broken_links(path: &Path, document: &str) -> Vec<String> {
    let link = Regex::new(r"\]\(([^)\s]+)\)").expect("a pattern");
    let directory = path.parent().expect("a directory");
    let exists = |target: &str| {
        let (file, anchor) = target
            .split_once('#')
            .map_or((target, None), |(file, anchor)| (file, Some(anchor)));
        let to = if file.is_empty() {
            path.to_owned()
        } else {
            directory.join(file)
        };
        let own = to
            .canonicalize()
            .is_ok_and(|to| to.starts_with(project_root().canonicalize().expect("the project")));
        own && anchor.is_none_or(|anchor| parse_document(&read_text(&to)).anchors.contains(anchor))
    };
    let prose = parse_document(document).prose;
    let targets = link.captures_iter(&prose).map(|found| found[1].to_owned());
    targets
        .filter(|target| !target.starts_with("https://") && !exists(target))
        .collect()
}

#[test]
fn documented_links_resolve() {
    for (path, document) in read_documents() {
        assert_eq!(
            find_broken_links(&path, &document),
            [""; 0],
            "in {}",
            path.display()
        );
    }
    let (path, here) = (
        project_root().join("README.md"),
        "# One\n## `two`, and 3\n## One\n",
    );
    assert_eq!(
        parse_document(here).anchors.into_iter().collect::<Vec<_>>(),
        ["one", "one-1", "two-and-3"]
    );
    let broken = "[a](docs/NOPE.md) [b](README.md#nope) [c](../elsewhere) [d](#exit-codes) [e](docs/AUDIT.md#limits)";
    assert_eq!(
        find_broken_links(&path, broken),
        ["docs/NOPE.md", "README.md#nope", "../elsewhere"]
    );
}

/// Returns the repository paths in inline code, each cut before a pattern.
fn extract_paths(parts: &DocumentParts) -> Vec<String> {
    let words = |code: &str| {
        code.split([' ', '"', '\'', '=', ','])
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let code = parts
        .code_spans
        .iter()
        .map(String::as_str)
        .chain(parts.shell_lines());
    let named = code.flat_map(words).filter(|word| {
        REPOSITORY_PREFIXES
            .iter()
            .any(|place| word.starts_with(place))
    });
    named
        .map(|word| {
            word.split('*')
                .next()
                .unwrap_or_default()
                .trim_end_matches([';', ':', '.'])
                .to_owned()
        })
        .collect()
}

#[test]
fn documented_paths_exist() {
    let mut seen = 0;
    for (path, document) in read_documents() {
        for named in extract_paths(&parse_document(&document)) {
            seen += 1;
            assert!(
                project_root().join(&named).exists(),
                "{} names {named}",
                path.display()
            );
        }
    }
    assert!(seen > 40, "only {seen} paths are found");
    let some = parse_document(
        "`scripts/nope --x` and `docs/*.md`\n```sh\nscripts/demo; cat src/lib.rs\n```\n",
    );
    assert_eq!(
        extract_paths(&some),
        ["scripts/nope", "docs/", "scripts/demo", "src/lib.rs"]
    );
}

#[test]
fn operator_guide_lists_every_exit_code() {
    let guide = read_text(&project_root().join("docs/OPERATOR.md"));
    for (_, code, name, meaning) in EXIT_CODES {
        let row = guide
            .lines()
            .find(|line| line.starts_with(&format!("| {code} | `{name}` |")));
        let row = row.unwrap_or_else(|| panic!("no row for exit code {code}, `{name}`: {meaning}"));
        assert_eq!(
            row.matches(" | ").count(),
            4,
            "what it means, the state, what to do: {row}"
        );
    }
}

#[test]
fn issue_forms_request_doctor_and_forbid_tokens() {
    let forms = list_files(".github/ISSUE_TEMPLATE", "yml");
    let forms: Vec<_> = forms
        .iter()
        .filter(|path| !path.ends_with("config.yml"))
        .collect();
    assert!(forms.len() > 1);
    for path in forms {
        let form = read_text(path);
        assert!(
            Yaml::load_from_str(&form).expect("YAML")[0]["body"]
                .as_vec()
                .is_some(),
            "{}",
            path.display()
        );
        for words in ["bypassctl doctor --report FILE", "Never paste a token"] {
            assert!(form.contains(words), "{} has no `{words}`", path.display());
        }
    }
}
