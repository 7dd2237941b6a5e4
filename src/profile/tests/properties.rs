//! Over generated files, and over text that is nearly TOML.

use proptest::prelude::*;
use proptest::sample::select;
use toml_edit::{Document, Item};

use super::*;

const SECRET: &str = "s3cret-do-not-show";

/// The body of a profile in every form that `auth` and `tls` can have; none has a token file.
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
    "{h}auth.oauth2 = { scopes = [\n{k}\"a\",\n] }\n{h}[profile.tls]\n{k}ca = '''\n[[profile]]\n'''\n",
    "{h}host = \"h\"\n\n[other]\n{k}a = nan\n\n{h}[profile.auth.oauth2]\n",
];

/// What may stand behind a profile.
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

fn profile_text() -> impl Strategy<Value = String> {
    (select(INDENTS), select(BODIES), select(TAILS)).prop_map(|((header, key), body, tail)| {
        let body = body
            .replace("{h}", header)
            .replace("{k}", key)
            .replace("SECRET", SECRET);
        format!("[[profile]]\n{header}name = \"NAME\"\n{body}{tail}")
    })
}

fn inline_text() -> impl Strategy<Value = String> {
    select(&[
        "{ name = \"NAME\" }",
        "{name=\"NAME\",auth={}}",
        "{ auth = { oauth2 = { a = 1 } }, name = \"NAME\" }",
        "{ auth.oauth2.client_secret = 'SECRET', name = \"NAME\", tls = {} }",
        "{ name = \"NAME\", auth = { token = { other = 1 } } }",
    ])
    .prop_map(|entry| entry.replace("SECRET", SECRET))
}

/// Numbers the profiles and joins them; tables that are not profiles get numbers too.
fn assemble(lead: &str, profiles: Vec<String>) -> String {
    let mut text = lead.to_owned();
    for (index, profile) in profiles.iter().enumerate() {
        text += &profile
            .replace("NAME", &format!("p{index}"))
            .replace("[other", &format!("[o{index}"));
    }
    text
}

fn inline_array(entries: Vec<String>, style: usize) -> String {
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

/// Line endings, byte order mark, final newline.
fn dressed(text: String, endings: &[bool], mark: bool, last: bool) -> String {
    let mut dressed = String::from(if mark { "\u{feff}" } else { "" });
    let text = if last {
        &text
    } else {
        text.trim_end_matches('\n')
    };
    let mut crlf = endings.iter().cycle();
    for line in text.split_inclusive('\n') {
        match (line.strip_suffix('\n'), crlf.next()) {
            (Some(line), Some(true)) => dressed.extend([line, "\r\n"]),
            _ => dressed.push_str(line),
        }
    }
    dressed
}

/// A configuration and how many profiles it has.
fn config() -> impl Strategy<Value = (String, usize)> {
    let lead = select(&["", "\n", "# lead\n", "title = \"t\" # t\n\n"]);
    let headers = (lead, prop::collection::vec(profile_text(), 1..5))
        .prop_map(|(lead, profiles)| (profiles.len(), assemble(lead, profiles)));
    let inline = (prop::collection::vec(inline_text(), 1..4), 0..3_usize)
        .prop_map(|(entries, style)| (entries.len(), inline_array(entries, style)));
    let endings = prop_oneof![
        Just(vec![false]),
        Just(vec![true]),
        prop::collection::vec(any::<bool>(), 2..7)
    ];
    let text = prop_oneof![4 => headers, 1 => inline];
    (text, endings, any::<bool>(), any::<bool>()).prop_map(
        |((count, text), endings, mark, last)| (dressed(text, &endings, mark, last), count),
    )
}

fn token_path() -> impl Strategy<Value = String> {
    prop_oneof![Just("/t".to_owned()), "/[ -~]{0,12}", any::<String>()]
}

/// Everything in `item`, sorted, as one text: written apart from the code's own comparison.
fn canonical(item: &Item) -> String {
    if let Some(table) = item.as_table_like() {
        let mut keys: Vec<_> = table
            .iter()
            .map(|(key, item)| format!("{key:?}:{}", canonical(item)))
            .collect();
        keys.sort();
        return format!("{{{}}}", keys.join(","));
    }
    if let Some(tables) = item.as_array_of_tables() {
        let tables = tables
            .iter()
            .map(|table| canonical(&Item::Table(table.clone())));
        return format!("[{}]", tables.collect::<Vec<_>>().join(","));
    }
    if let Some(array) = item.as_array() {
        let values = array
            .iter()
            .map(|value| canonical(&Item::Value(value.clone())));
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

/// Each profile, then the whole without the profiles.
fn canonical_parts(text: &str) -> Vec<String> {
    let document = Document::parse(text.to_owned()).unwrap().into_mut();
    let mut parts: Vec<String> = match document.get("profile").unwrap() {
        Item::ArrayOfTables(tables) => tables
            .iter()
            .map(|table| canonical(&Item::Table(table.clone())))
            .collect(),
        item => item
            .as_array()
            .unwrap()
            .iter()
            .map(|value| canonical(&Item::Value(value.clone())))
            .collect(),
    };
    let mut rest = document.clone();
    rest.remove("profile");
    parts.push(canonical(rest.as_item()));
    parts
}

/// Carries out the splices as a shell script would: by byte offsets, from the last to the first.
fn replayed(old: &str, edit: &Edit) -> String {
    let mut bytes = old.as_bytes().to_vec();
    for splice in edit.splices.iter().rev() {
        bytes.splice(splice.range.clone(), splice.text.bytes());
    }
    String::from_utf8(bytes).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn disable_is_the_inverse_of_enable(
        (text, count) in config(), which in any::<prop::sample::Index>(), path in token_path()
    ) {
        let name = format!("p{}", which.index(count));
        let on = enable(&text, &name, &path).unwrap();
        prop_assert!(!on.is_noop());
        prop_assert_eq!(replayed(&text, &on), on.text.as_str());
        let found = find(&on.text, &name).unwrap();
        prop_assert_eq!(found.token_file.as_deref(), Some(path.as_str()));
        prop_assert!(enable(&on.text, &name, &path).unwrap().is_noop());
        let off = disable(&on.text, &name).unwrap();
        prop_assert_eq!(replayed(&on.text, &off), off.text.as_str());
        prop_assert_eq!(&off.text, &text);
        // Another path: only the value differs.
        let other = enable(&on.text, &name, "/other").unwrap();
        prop_assert_eq!(disable(&other.text, &name).unwrap().text, text);
    }

    #[test]
    fn nothing_else_changes(
        (text, count) in config(), which in any::<prop::sample::Index>()
    ) {
        let index = which.index(count);
        let on = enable(&text, &format!("p{index}"), "/t").unwrap();
        let (mut before, mut after) = (canonical_parts(&text), canonical_parts(&on.text));
        prop_assert_eq!(before.len(), after.len());
        prop_assert_ne!(before.remove(index), after.remove(index));
        prop_assert_eq!(before, after);
        prop_assert!(on.changed_lines(&text).iter().all(|line| !line.text.contains(SECRET)));
        let off = disable(&on.text, &format!("p{index}")).unwrap();
        prop_assert!(off.changed_lines(&on.text).iter().all(|line| !line.text.contains(SECRET)));
    }

    #[test]
    fn an_edit_elsewhere_survives_disable(
        (text, count) in config(), which in any::<prop::sample::Index>(), edit in 0..4_usize
    ) {
        let index = which.index(count);
        let headers = !text.contains("profile = [");
        let mark = if text.starts_with('\u{feff}') { "\u{feff}" } else { "" };
        let by_hand = |text: &str| {
            let body = text.strip_prefix('\u{feff}').unwrap_or(text);
            let end = if text.ends_with('\n') || edit < 2 { "" } else { line::Lines(text).ending(text.len()) };
            match edit {
                0 => format!("{mark}# a comment\n{body}"),
                1 => format!("{mark}added = 1\n{body}"),
                2 if headers => format!("{text}{end}\n[[profile]]\nname = \"added\"\n"),
                _ => format!("{text}{end}\n[added]\nkey = 1\n"),
            }
        };
        let on = enable(&text, &format!("p{index}"), "/t").unwrap();
        let off = disable(&by_hand(&on.text), &format!("p{index}")).unwrap();
        prop_assert_eq!(off.text, by_hand(&text));
    }

    #[test]
    fn create_only_appends((text, count) in config(), name in any::<String>()) {
        prop_assume!(!name.starts_with('p') || name.len() != 2);
        let edit = create(&text, &name, "h", "1", "/t").unwrap();
        prop_assert_eq!(replayed(&text, &edit), edit.text.as_str());
        let (mut before, mut after) = (canonical_parts(&text), canonical_parts(&edit.text));
        after.remove(count);
        prop_assert_eq!(&mut before, &mut after);
        let found = find(&edit.text, &name).unwrap();
        prop_assert_eq!(found.product.as_deref(), Some("clustered"));
        prop_assert!(edit.changed_lines(&text).iter().all(|line| !line.text.contains(SECRET)));
    }
}

/// Pieces that make text which is nearly TOML, and now and then is.
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

fn nearly_toml() -> impl Strategy<Value = String> {
    prop::collection::vec(select(PIECES), 0..14).prop_map(|pieces| pieces.concat())
}

/// Everything that an error or an edit may print.
fn printed<T>(result: Result<T, ConfigError>) -> String {
    match result {
        Ok(_) => String::new(),
        Err(error) => format!("{error} {:?} {error:?}", error.hint()),
    }
}

fn all_said(text: &str) -> String {
    let mut said = printed(profiles(text)) + &printed(find(text, "default"));
    let edits = [
        enable(text, "default", "/t"),
        disable(text, "default"),
        create(text, "new", "h", "1", "/t"),
    ];
    for edit in edits {
        if let Ok(edit) = &edit {
            assert_eq!(replayed(text, edit), edit.text);
            said += &format!("{edit:?}{:?}", edit.changed_lines(text).first());
        }
        said += &printed(edit);
    }
    said
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn nothing_panics_on_any_text(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        all_said(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn nothing_panics_on_any_string(text in any::<String>()) {
        all_said(&text);
    }

    #[test]
    fn nothing_panics_or_tells_on_nearly_toml(text in nearly_toml()) {
        let said = all_said(&text);
        prop_assert!(!said.contains(SECRET), "{said}");
        let Ok(on) = enable(&text, "default", "/t") else { return Ok(()) };
        prop_assert!(enable(&on.text, "default", "/t").unwrap().is_noop());
        // Exact where the section was not there before.
        let off = disable(&on.text, "default").unwrap();
        let canonical = |text: &str| canonical_parts(text);
        if !canonical(&text).concat().contains("\"token\":{") {
            prop_assert_eq!(off.text, text);
        }
    }

    #[test]
    fn an_error_in_a_real_file_does_not_quote_it(
        (text, _) in config(), at in any::<prop::sample::Index>(), piece in select(PIECES)
    ) {
        let mut at = at.index(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        let broken = format!("{}{piece}{}", &text[..at], &text[at..]);
        let said = all_said(&broken);
        prop_assert!(!said.contains(SECRET), "{said}");
    }
}
