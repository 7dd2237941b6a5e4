//! The import graph of `src`, file by file.

use std::collections::{BTreeMap, BTreeSet};

/// The files that each file imports, by path below `src`.
pub type ImportGraph = BTreeMap<String, BTreeSet<String>>;

/// Builds the import graph of files, each given as its path below `src` and its text.
pub fn build_import_graph(files: &[(String, String)]) -> ImportGraph {
    let modules: BTreeMap<Vec<String>, String> = files
        .iter()
        .map(|(path, _)| (module_path(path), path.clone()))
        .collect();
    let resolve = |path: &[String]| {
        (1..=path.len())
            .rev()
            .find_map(|length| modules.get(&path[..length]))
    };
    let mut graph = ImportGraph::new();
    for (file, text) in files {
        let module = module_path(file);
        let paths = collect_paths(&tokenize(text), &module, &|path| modules.contains_key(path));
        let imports = paths.iter().filter_map(|path| resolve(path)).cloned();
        let imports: BTreeSet<String> = imports.filter(|import| import != file).collect();
        graph.insert(file.clone(), imports);
    }
    graph
}

/// Finds one cycle of each group of files that import each other. Returns each as a path that ends
/// at its start.
pub fn find_cycles(graph: &ImportGraph) -> Vec<Vec<String>> {
    let mut grouped = BTreeSet::new();
    let mut cycles = Vec::new();
    for file in graph.keys() {
        if grouped.contains(file) {
            continue;
        }
        if let Some(cycle) = find_shortest_path(graph, file) {
            let reachable = collect_reachable(graph, file);
            let group = reachable
                .into_iter()
                .filter(|other| collect_reachable(graph, other).contains(file));
            grouped.extend(group);
            cycles.push(cycle);
        }
    }
    cycles
}

/// Finds the shortest path of imports that leads from a file back to the same file.
fn find_shortest_path(graph: &ImportGraph, start: &str) -> Option<Vec<String>> {
    let mut paths = vec![vec![start.to_owned()]];
    let mut seen = BTreeSet::new();
    while !paths.is_empty() {
        let mut next = Vec::new();
        for path in paths {
            let last = path.last().expect("a path has a start");
            for import in graph.get(last).into_iter().flatten() {
                let longer = [path.as_slice(), std::slice::from_ref(import)].concat();
                if import == start {
                    return Some(longer);
                }
                if seen.insert(import.clone()) {
                    next.push(longer);
                }
            }
        }
        paths = next;
    }
    None
}

fn collect_reachable(graph: &ImportGraph, start: &str) -> BTreeSet<String> {
    let mut reached = BTreeSet::new();
    let mut open = vec![start.to_owned()];
    while let Some(file) = open.pop() {
        for import in graph.get(&file).into_iter().flatten() {
            if reached.insert(import.clone()) {
                open.push(import.clone());
            }
        }
    }
    reached
}

/// Returns the module of a file: `exec/spawn.rs` is `crate::exec::spawn`, `lib.rs` is `crate`.
fn module_path(file: &str) -> Vec<String> {
    let name = file.strip_suffix(".rs").expect("a Rust file");
    let names = name.split('/').filter(|name| *name != "lib");
    ["crate"]
        .into_iter()
        .chain(names)
        .map(str::to_owned)
        .collect()
}

/// Splits Rust text into names and punctuation, without comments, strings and characters.
fn tokenize(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        at += match rest {
            ['/', '/', ..] => count_until(rest, |left| left[0] == '\n'),
            ['/', '*', ..] => count_until(rest, |left| left.starts_with(&['*', '/'])) + 2,
            ['"', ..] => string_length(rest),
            // The `r` of `br"…"` starts a raw string as well.
            ['b', 'r', '"' | '#', ..] => 1,
            ['r', '"', ..] => 1 + count_until(&rest[2..], |left| left[0] == '"') + 2,
            ['r', '#', '"', ..] => {
                3 + count_until(&rest[3..], |left| left.starts_with(&['"', '#'])) + 2
            }
            ['\'', '\\', _, ..] => 3 + count_until(&rest[3..], |left| left[0] == '\'') + 1,
            ['\'', _, '\'', ..] => 3,
            [':', ':', ..] => {
                tokens.push("::".to_owned());
                2
            }
            [first, ..] if first.is_alphanumeric() || *first == '_' => {
                let length =
                    count_until(rest, |left| !(left[0].is_alphanumeric() || left[0] == '_'));
                tokens.push(rest[..length].iter().collect());
                length
            }
            [first, ..] if first.is_whitespace() => 1,
            [first, ..] => {
                tokens.push(first.to_string());
                1
            }
            [] => unreachable!("the loop ends first"),
        };
    }
    tokens
}

fn count_until(text: &[char], is_end: impl Fn(&[char]) -> bool) -> usize {
    (0..text.len())
        .find(|start| is_end(&text[*start..]))
        .unwrap_or(text.len())
}

/// Returns the length of a string literal with both quotes.
fn string_length(text: &[char]) -> usize {
    let mut at = 1;
    while at < text.len() && text[at] != '"' {
        at += if text[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// A module written inside a file.
struct InlineModule {
    name: String,
    /// The depth of braces outside it.
    depth: usize,
}

/// Collects the full path of everything in this crate that the tokens of one file name.
fn collect_paths(
    tokens: &[String],
    module: &[String],
    is_module: &dyn Fn(&[String]) -> bool,
) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut aliases: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut inline: Vec<InlineModule> = Vec::new();
    let (mut at, mut depth) = (0, 0);
    while at < tokens.len() {
        let current = || {
            let names = inline.iter().map(|inner| inner.name.clone());
            module.iter().cloned().chain(names).collect::<Vec<_>>()
        };
        let word = |offset: usize| tokens.get(at + offset).map_or("", String::as_str);
        match word(0) {
            "#" if tokens[at..].starts_with(&words("# [ cfg ( test ) ]")) => {
                at = skip_item(tokens, at + 7);
                continue;
            }
            "pub" if word(1) == "(" && word(2) == "in" => {
                at += count_to(&tokens[at..], ")");
                continue;
            }
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                inline.pop_if(|inner| inner.depth == depth);
            }
            "mod" if word(2) == "{" => {
                let name = word(1).to_owned();
                inline.push(InlineModule { name, depth });
                at += 1;
            }
            "use" => {
                let end = at + count_to(&tokens[at..], ";");
                let mut tree = &tokens[at + 1..end];
                let mut leaves = Vec::new();
                expand_use_tree(&mut tree, &[], &mut leaves);
                for (path, alias) in leaves {
                    let Some(full) = resolve_start(&path, &current(), is_module) else {
                        continue;
                    };
                    if is_module(&full) {
                        aliases.insert(alias, full.clone());
                    }
                    found.push(full);
                }
                at = end;
                continue;
            }
            first if word(1) == "::" && (at == 0 || tokens[at - 1] != "::") => {
                let mut path = vec![first.to_owned()];
                while word(path.len() * 2 - 1) == "::" {
                    path.push(word(path.len() * 2).to_owned());
                }
                let through_alias = aliases
                    .get(first)
                    .map(|target| [target.as_slice(), &path[1..]].concat());
                let full = through_alias.or_else(|| resolve_start(&path, &current(), is_module));
                at += path.len() * 2 - 1;
                found.extend(full);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// Counts the tokens before the first one that equals `end`.
fn count_to(tokens: &[String], end: &str) -> usize {
    tokens
        .iter()
        .position(|token| token == end)
        .unwrap_or(tokens.len())
}

/// Returns the index behind the item that starts at an index: behind its `;` or its closing brace.
fn skip_item(tokens: &[String], start: usize) -> usize {
    let mut depth = 0;
    for (index, token) in tokens.iter().enumerate().skip(start) {
        match token.as_str() {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 && [";", "}"].contains(&token.as_str()) {
            return index + 1;
        }
    }
    tokens.len()
}

/// Expands one `use` tree into its paths, each with the name that it introduces.
fn expand_use_tree(
    tree: &mut &[String],
    prefix: &[String],
    leaves: &mut Vec<(Vec<String>, String)>,
) {
    let mut path = prefix.to_vec();
    let mut alias = None;
    while let Some((first, rest)) = tree.split_first() {
        match first.as_str() {
            "," | "}" => break,
            "::" => *tree = rest,
            "as" => {
                alias = rest.first().cloned();
                *tree = &rest[1..];
            }
            "{" => {
                *tree = rest;
                while tree.first().is_some_and(|token| token != "}") {
                    expand_use_tree(tree, &path, leaves);
                    if tree.first().is_some_and(|token| token == ",") {
                        *tree = &tree[1..];
                    }
                }
                *tree = tree.get(1..).unwrap_or_default();
                return;
            }
            "self" if !path.is_empty() => *tree = rest,
            _ => {
                if alias.is_none() {
                    path.push(first.clone());
                }
                *tree = rest;
            }
        }
    }
    let alias = alias.or_else(|| path.last().cloned()).unwrap_or_default();
    leaves.push((path, alias));
}

/// Makes a path absolute: from `crate`, `self`, `super`, or a child module's name.
fn resolve_start(
    path: &[String],
    current: &[String],
    is_module: &dyn Fn(&[String]) -> bool,
) -> Option<Vec<String>> {
    let (first, rest) = path.split_first()?;
    match first.as_str() {
        "crate" => Some(path.to_vec()),
        // The binary names the library by its own name.
        "bypassctl" => Some([&["crate".to_owned()], rest].concat()),
        "self" => Some([current, rest].concat()),
        "super" => {
            let mut above = &current[..current.len() - 1];
            let mut rest = rest;
            while let Some(("super", further)) = rest
                .split_first()
                .map(|(first, further)| (first.as_str(), further))
            {
                above = &above[..above.len() - 1];
                rest = further;
            }
            Some([above, rest].concat())
        }
        _ => {
            let child = [current, std::slice::from_ref(first)].concat();
            is_module(&child).then(|| [current, path].concat())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{build_import_graph, find_cycles};

    /// Builds the graph of made-up files and returns it as `file: imports` lines.
    fn graph_lines(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<(String, String)> = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect();
        let graph = build_import_graph(&files);
        graph
            .iter()
            .filter(|(_, imports)| !imports.is_empty())
            .map(|(file, imports)| {
                let imports: Vec<&str> = imports.iter().map(String::as_str).collect();
                format!("{file}: {}", imports.join(" "))
            })
            .collect()
    }

    fn cycle_lines(files: &[(&str, &str)]) -> Vec<String> {
        let files: Vec<(String, String)> = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
            .collect();
        let cycles = find_cycles(&build_import_graph(&files));
        cycles.iter().map(|cycle| cycle.join(" -> ")).collect()
    }

    #[test]
    fn imports_resolve_to_files_for_every_form_of_path() {
        let empty = [("a.rs", ""), ("a/b.rs", ""), ("c.rs", ""), ("d/e.rs", "")];
        let importer = [
            ("use crate::a;", "a.rs"),
            ("use crate::a::Item;", "a.rs"),
            ("use crate::a::b::Item;", "a/b.rs"),
            ("use crate::{a::{self, b::{X, Y}}, c};", "a.rs a/b.rs c.rs"),
            ("use crate::a::{b::X as Z, Item};", "a.rs a/b.rs"),
            ("use super::super::c::X;", "c.rs"),
            ("fn f() -> crate::c::X { super::e::y() }", "c.rs d/e.rs"),
            ("use crate::a; fn f() { a::b::g(); }", "a.rs a/b.rs"),
            ("mod inner { use super::super::e::X; }", "d/e.rs"),
            ("use std::fmt; use a::X; // use crate::c;", ""),
            (
                "const X: &str = \"crate::c\"; pub(in crate::c) fn f() {}",
                "",
            ),
            (
                "#[cfg(test)]\nmod tests { use crate::c; }\nuse crate::a;",
                "a.rs",
            ),
            ("const X: &[u8] = br#\"#{\"#; use crate::c;", "c.rs"),
            ("fn f<'a>(c: char) -> bool { c == '{' || c == '\\'' }", ""),
        ];
        for (text, imports) in importer {
            let files = [empty.as_slice(), &[("d/f.rs", text)]].concat();
            let expected: Vec<String> = [imports]
                .iter()
                .filter(|imports| !imports.is_empty())
                .map(|imports| format!("d/f.rs: {imports}"))
                .collect();
            assert_eq!(graph_lines(&files), expected, "{text}");
        }
    }

    #[test]
    fn re_export_is_an_import_and_module_declaration_is_none() {
        let child = ("a/b.rs", "use super::Item;");
        let declared = [("a.rs", "mod b;\npub struct Item;"), child];
        assert_eq!(graph_lines(&declared), ["a/b.rs: a.rs"]);
        assert_eq!(cycle_lines(&declared), [""; 0]);
        let re_exported = [("a.rs", "mod b;\npub use b::X;\npub struct Item;"), child];
        assert_eq!(cycle_lines(&re_exported), ["a.rs -> a/b.rs -> a.rs"]);
        let called = [("a.rs", "mod b;\nfn f() { b::g() }"), child];
        assert_eq!(cycle_lines(&called), ["a.rs -> a/b.rs -> a.rs"]);
    }

    #[test]
    fn cycle_is_found_across_folders_once_per_group() {
        let files = [
            ("a.rs", "use crate::b::c::X;"),
            ("b/c.rs", "use crate::d;"),
            ("d.rs", "use crate::{a, e};"),
            ("e.rs", "use crate::f;"),
            ("f.rs", ""),
            ("g.rs", "use crate::h;"),
            ("h.rs", "use crate::g; use crate::a;"),
        ];
        assert_eq!(
            cycle_lines(&files),
            ["a.rs -> b/c.rs -> d.rs -> a.rs", "g.rs -> h.rs -> g.rs"]
        );
    }
}
