//! Property tests with generated configurations and with text that is nearly TOML.

use proptest::prelude::*;
use proptest::sample::select;
use toml_edit::{Document, Item};

use super::*;

const SECRET: &str = "s3cret-do-not-show";

/// Bodies of profiles with every form of `auth` and `tls`, also an empty `token` and a former token
/// file.
/// `{h}` and `{k}` are the indentation of headers and of their keys.
const BODIES: &[&str] = &[
    "",
    "{h}host = \"h\" # c\n",
    "{h}port = \"1\"\n\n{h}[profile.tls]\n{k}disable = true\n",
    "{h}mgmt_token = \"SECRET\"\n{h}[profile.auth.oauth2]\n{k}client_secret = \"SECRET\"\n",
    "{h}[profile.auth]\n{k}oauth2.client_id = \"c\" # SECRET\n\n{h}[profile.tls]\n",
    "{h}[profile.auth]\n",
    "{h}[profile.auth]\n{k}# nothing\n\n",
    "{h}auth = { oauth2 = { client_secret = \"SECRET\" } } # c\n",
    "{h}auth = {}\n{h}host = \"h\"\n",
    "{h}auth = { }\n",
    "{h}auth.oauth2.client_id = \"c\"\n{h}auth.oauth2.client_secret = 'SECRET'\n{h}host = \"h\"\n",
    concat!(
        "{h}auth.oauth2 = { scopes = [\n{k}\"a\",\n] }\n{h}[profile.tls]\n{k}ca = '''\n",
        "[[profile]]\n'''\n",
    ),
    "{h}host = \"h\"\n\n[other]\n{k}a = nan\n\n{h}[profile.auth.oauth2]\n",
    "{h}[profile.auth.token]\n",
    "{h}[profile.auth.token] # c\n{k}# nothing\n\n{h}[profile.tls]\n{k}disable = true\n",
    "{h}[profile.auth]\n\n{h}[profile.auth.token]\n",
    "{h}[profile.auth]\n{k}token = { }\n",
    "{h}auth.token = {} # c\n{h}host = \"h\"\n",
    "{h}auth = { token = {}, oauth2 = {} }\n",
    "{h}[profile.auth.token]\n{k}other = 1\n",
    "{h}[profile.auth.token]\n{k}token_file = '/former' # SECRET\n\n",
    "{h}[profile.auth.token]\n{k}token_file = \"\"\"\n/former\"\"\"\n{k}other = 1\n",
    "{h}auth.token.token_file = \"/for\\u006der\"\n{h}host = \"h\"\n",
    "{h}auth = { token = { token_file = '/former' } } # c\n",
];

/// Returns the value that an edit replaces, as the audit log keeps it.
fn former_value(edit: &ConfigEdit) -> Option<String> {
    edit.token_file.clone()?.before
}

/// Texts after a profile.
const TAILS: &[&str] = &[
    "",
    "\n",
    "# directly behind\n",
    "# directly behind\n\n\n",
    "\n# on its own\n\n",
    "\n# leads the next\n",
    "  \n\t\n",
    "\n[other2]\na = { b = 1 }\n\n",
];

const INDENTS: &[(&str, &str)] = &[
    ("", ""),
    ("  ", "    "),
    ("    ", "        "),
    ("\t", "\t\t"),
];

fn any_profile_text() -> impl Strategy<Value = String> {
    (select(INDENTS), select(BODIES), select(TAILS)).prop_map(|((header, key), body, tail)| {
        let body = body
            .replace("{h}", header)
            .replace("{k}", key)
            .replace("SECRET", SECRET);
        format!("[[profile]]\n{header}name = \"NAME\"\n{body}{tail}")
    })
}

fn any_inline_entry() -> impl Strategy<Value = String> {
    select(&[
        "{ name = \"NAME\" }",
        "{name=\"NAME\",auth={}}",
        "{ auth = { oauth2 = { a = 1 } }, name = \"NAME\" }",
        "{ auth.oauth2.client_secret = 'SECRET', name = \"NAME\", tls = {} }",
        "{ name = \"NAME\", auth = { token = { other = 1 } } }",
        "{ name = \"NAME\", auth = { token = {} } }",
        "{ name = \"NAME\", auth.token.token_file = '/former' }",
    ])
    .prop_map(|entry| entry.replace("SECRET", SECRET))
}

/// Numbers profiles and other tables, and joins them.
fn join_profiles(lead: &str, profiles: Vec<String>) -> String {
    let mut text = lead.to_owned();
    for (index, profile) in profiles.iter().enumerate() {
        text += &profile
            .replace("NAME", &format!("p{index}"))
            .replace("[other", &format!("[o{index}"));
    }
    text
}

fn join_inline_entries(entries: Vec<String>, style: usize) -> String {
    let (open, between, close) = [
        ("profile = [", ", ", "]\n"),
        ("profile = [\n  ", ",\n  ", "\n]\n"),
        (
            "profile = [ # c, d\n\t",
            ", # c, d\n\t",
            ", # e\n  # f\n]\n# g\n",
        ),
    ][style];
    let mut text = open.to_owned();
    for (index, entry) in entries.iter().enumerate() {
        text += if index == 0 { "" } else { between };
        text += &entry.replace("NAME", &format!("p{index}"));
    }
    text + close
}

/// Sets the line endings, the byte order mark and the final newline.
fn apply_line_endings(text: String, endings: &[bool], mark: bool, last: bool) -> String {
    let mut result = String::from(if mark { "\u{feff}" } else { "" });
    let text = if last {
        &text
    } else {
        text.trim_end_matches('\n')
    };
    let mut crlf = endings.iter().cycle();
    for line in text.split_inclusive('\n') {
        match (line.strip_suffix('\n'), crlf.next()) {
            (Some(line), Some(true)) => result.extend([line, "\r\n"]),
            _ => result.push_str(line),
        }
    }
    result
}

/// Generates a configuration and the number of its profiles.
fn any_config() -> impl Strategy<Value = (String, usize)> {
    let lead = select(&["", "\n", "# lead\n", "title = \"t\" # t\n\n"]);
    let headers = (lead, prop::collection::vec(any_profile_text(), 1..5))
        .prop_map(|(lead, profiles)| (profiles.len(), join_profiles(lead, profiles)));
    let inline = (prop::collection::vec(any_inline_entry(), 1..4), 0..3_usize)
        .prop_map(|(entries, style)| (entries.len(), join_inline_entries(entries, style)));
    let endings = prop_oneof![
        Just(vec![false]),
        Just(vec![true]),
        prop::collection::vec(any::<bool>(), 2..7)
    ];
    let text = prop_oneof![4 => headers, 1 => inline];
    (text, endings, any::<bool>(), any::<bool>()).prop_map(
        |((count, text), endings, mark, last)| {
            (apply_line_endings(text, &endings, mark, last), count)
        },
    )
}

fn any_token_path() -> impl Strategy<Value = String> {
    prop_oneof![Just("/t".to_owned()), "/[ -~]{0,12}", any::<String>()]
}

/// Formats an item with sorted keys. Shares no code with the comparison under test.
fn canonicalize_item(item: &Item) -> String {
    if let Some(table) = item.as_table_like() {
        let mut keys: Vec<_> = table
            .iter()
            .map(|(key, item)| format!("{key:?}:{}", canonicalize_item(item)))
            .collect();
        keys.sort();
        return format!("{{{}}}", keys.join(","));
    }
    if let Some(tables) = item.as_array_of_tables() {
        let tables = tables
            .iter()
            .map(|table| canonicalize_item(&Item::Table(table.clone())));
        return format!("[{}]", tables.collect::<Vec<_>>().join(","));
    }
    if let Some(array) = item.as_array() {
        let values = array
            .iter()
            .map(|value| canonicalize_item(&Item::Value(value.clone())));
        return format!("[{}]", values.collect::<Vec<_>>().join(","));
    }
    let kind = item.type_name();
    let text = item.as_str().map(|text| format!("{text:?}"));
    let rest = || {
        item.as_value()
            .map(|v| v.clone().decorated("", "").to_string())
    };
    format!("{kind}={}", text.or_else(rest).unwrap_or_default())
}

/// Formats each profile, then the rest of the document.
fn canonicalize_parts(text: &str) -> Vec<String> {
    let document = Document::parse(text.to_owned()).unwrap().into_mut();
    let mut parts: Vec<String> = match document.get("profile").unwrap() {
        Item::ArrayOfTables(tables) => tables
            .iter()
            .map(|table| canonicalize_item(&Item::Table(table.clone())))
            .collect(),
        item => item
            .as_array()
            .unwrap()
            .iter()
            .map(|value| canonicalize_item(&Item::Value(value.clone())))
            .collect(),
    };
    let mut rest = document.clone();
    rest.remove("profile");
    parts.push(canonicalize_item(rest.as_item()));
    parts
}

/// Applies the splices like a shell script: by byte offsets, from the last to the first.
fn replay_splices(old: &str, edit: &ConfigEdit) -> String {
    let mut bytes = old.as_bytes().to_vec();
    for splice in edit.splices.iter().rev() {
        bytes.splice(splice.range.clone(), splice.text.bytes());
    }
    String::from_utf8(bytes).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn disable_reverts_enable(
        (text, count) in any_config(),
        which in any::<prop::sample::Index>(),
        path in any_token_path()
    ) {
        let name = format!("p{}", which.index(count));
        let on = enable_token_file(&text, &name, &path).unwrap();
        prop_assert!(!on.is_noop());
        prop_assert_eq!(replay_splices(&text, &on), on.text.as_str());
        let found = find_profile(&on.text, &name).unwrap();
        prop_assert_eq!(found.token_file.as_deref(), Some(path.as_str()));
        prop_assert!(enable_token_file(&on.text, &name, &path).unwrap().is_noop());
        let off = disable_token_file(&on.text, &name, former_value(&on).as_deref()).unwrap();
        prop_assert_eq!(replay_splices(&on.text, &off), off.text.as_str());
        prop_assert_eq!(&off.text, &text);
        // Another path changes only the value.
        let other = enable_token_file(&on.text, &name, "/other").unwrap();
        prop_assert_eq!(disable_token_file(&other.text, &name, former_value(&on).as_deref()).unwrap().text, text);
    }

    #[test]
    fn enable_and_disable_change_only_named_profile(
        (text, count) in any_config(), which in any::<prop::sample::Index>()
    ) {
        let index = which.index(count);
        let on = enable_token_file(&text, &format!("p{index}"), "/t").unwrap();
        let (mut before, mut after) = (canonicalize_parts(&text), canonicalize_parts(&on.text));
        prop_assert_eq!(before.len(), after.len());
        prop_assert_ne!(before.remove(index), after.remove(index));
        prop_assert_eq!(before, after);
        prop_assert!(on.changed_lines(&text).iter().all(|line| !line.text.contains(SECRET)));
        let off = disable_token_file(&on.text, &format!("p{index}"), former_value(&on).as_deref()).unwrap();
        prop_assert!(off.changed_lines(&on.text).iter().all(|line| !line.text.contains(SECRET)));
    }

    #[test]
    fn disable_keeps_unrelated_edits(
        (text, count) in any_config(), which in any::<prop::sample::Index>(), edit in 0..4_usize
    ) {
        let index = which.index(count);
        let headers = !text.contains("profile = [");
        let mark = if text.starts_with('\u{feff}') { "\u{feff}" } else { "" };
        let by_hand = |text: &str| {
            let body = text.strip_prefix('\u{feff}').unwrap_or(text);
            let end = if text.ends_with('\n') || edit < 2 {
                ""
            } else {
                crate::splice::Lines(text).line_ending(text.len())
            };
            match edit {
                0 => format!("{mark}# a comment\n{body}"),
                1 => format!("{mark}added = 1\n{body}"),
                2 if headers => format!("{text}{end}\n[[profile]]\nname = \"added\"\n"),
                _ => format!("{text}{end}\n[added]\nkey = 1\n"),
            }
        };
        let on = enable_token_file(&text, &format!("p{index}"), "/t").unwrap();
        let off = disable_token_file(&by_hand(&on.text), &format!("p{index}"), former_value(&on).as_deref()).unwrap();
        prop_assert_eq!(off.text, by_hand(&text));
    }

    #[test]
    fn create_leaves_existing_text_unchanged(
        (text, count) in any_config(), name in any::<String>()
    ) {
        prop_assume!(!name.starts_with('p') || name.len() != 2);
        let edit = create_profile(&text, &name, "h", "1", "/t").unwrap();
        prop_assert_eq!(replay_splices(&text, &edit), edit.text.as_str());
        let (mut before, mut after) = (canonicalize_parts(&text), canonicalize_parts(&edit.text));
        after.remove(count);
        prop_assert_eq!(&mut before, &mut after);
        let found = find_profile(&edit.text, &name).unwrap();
        prop_assert_eq!(found.product.as_deref(), Some("clustered"));
        prop_assert!(edit.changed_lines(&text).iter().all(|line| !line.text.contains(SECRET)));
    }
}

/// Pieces of text that is nearly TOML, and sometimes TOML.
const PIECES: &[&str] = &[
    "[[profile]]\n",
    "[profile.auth]\n",
    "[profile.auth.token]\n",
    "[profile.auth.oauth2]\r\n",
    "auth",
    "token",
    "token_file",
    "profile",
    "name",
    ".",
    " = ",
    "\"/x\"",
    "\"default\"",
    "1",
    "{ ",
    " }",
    "[",
    "]",
    ", ",
    "\n",
    "\r\n",
    "\r",
    "# c",
    "  ",
    "\t",
    "\"\"\"",
    "'",
    "\"",
    "\\",
    "\u{feff}",
    "ö",
    "auth.token.token_file = \"/x\"\n",
    "auth = { token = { token_file = \"/x\" } }\n",
    "token.token_file = '/x'\n",
    "token_file = '/x' # c\n",
    "\n# c\n",
    "profile = [{ ",
    "}]",
    "nan",
    "auth.oauth2.a = 1\n",
    "client_secret = \"s3cret-do-not-show\"",
    "s3cret-do-not-show\n",
    "name = \"default\"\n",
    "[profile.tls]\n",
    "token = { ",
    "auth = {",
    "}\n",
    ",",
];

fn any_near_toml() -> impl Strategy<Value = String> {
    prop::collection::vec(select(PIECES), 0..14).prop_map(|pieces| pieces.concat())
}

/// Formats everything that an error can print.
fn format_error_output<T>(result: Result<T, ConfigError>) -> String {
    match result {
        Ok(_) => String::new(),
        Err(error) => format!("{error} {:?} {error:?}", error.hint()),
    }
}

fn collect_output(text: &str) -> String {
    let mut output = format_error_output(list_profiles(text))
        + &format_error_output(find_profile(text, "default"));
    let edits = [
        enable_token_file(text, "default", "/t"),
        disable_token_file(text, "default", None),
        create_profile(text, "new", "h", "1", "/t"),
    ];
    for edit in edits {
        if let Ok(edit) = &edit {
            assert_eq!(replay_splices(text, edit), edit.text);
            output += &format!("{edit:?}{:?}", edit.changed_lines(text).first());
        }
        output += &format_error_output(edit);
    }
    output
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn any_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        collect_output(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn any_string_does_not_panic(text in any::<String>()) {
        collect_output(&text);
    }

    #[test]
    fn near_toml_does_not_panic_or_leak_secret(text in any_near_toml()) {
        let output = collect_output(&text);
        prop_assert!(!output.contains(SECRET), "{output}");
        let Ok(on) = enable_token_file(&text, "default", "/t") else { return Ok(()) };
        prop_assert!(enable_token_file(&on.text, "default", "/t").unwrap().is_noop());
        let off = disable_token_file(&on.text, "default", former_value(&on).as_deref()).unwrap();
        if !on.is_noop() {
            prop_assert_eq!(off.text, text);
        }
    }

    #[test]
    fn error_in_broken_file_does_not_quote_secret(
        (text, _) in any_config(), at in any::<prop::sample::Index>(), piece in select(PIECES)
    ) {
        let mut at = at.index(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let broken = format!("{}{piece}{}", &text[..at], &text[at..]);
        let output = collect_output(&broken);
        prop_assert!(!output.contains(SECRET), "{output}");
    }
}
