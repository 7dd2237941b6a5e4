use super::*;
use crate::procedure::revoke::Rerun;
use crate::tool::ToolName;
use std::path::Path;

fn make_path_context() -> PathContext<'static> {
    let [directory, home, account_home] =
        ["/etc/bypassctl", "/elsewhere", "/home/ann"].map(Path::new);
    PathContext {
        directory,
        home: Some(home),
        account_home: Some(account_home),
    }
}

fn parse(text: &str) -> Result<Policy, PolicyError> {
    parse_policy(text, &make_path_context())
}

const FULL_POLICY: &str = r#"
locked = true

[tools]
require_pins = true
[tools.kubectl]
path = "/usr/bin/kubectl"
version = ">=1.30, <1.36"
sha256 = [
  "sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
  "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
]
[tools.influxctl]
path = "tools/influxctl"
version = "=v2.10.2-hotfix"

[guard]
require_plan = ["revoke", "rotate"]
require_reason = "CHG-[0-9]+"
[guard.production]
context = ["*prod*", "eu-?"]
server = ["https://10.1.*"]

[audit]
file = "~/audit.jsonl"
enforce = true

[namespaces.influxdb]
profile = "clustered"
config = "config.toml"
token_file = "/run/token"
restart_selector = "app=core"
ignored_key_users = ["app=ingester"]
key_gen_job = "key-gen-1"
create_admin_token_job = "create-admin-token-1"
rerun = "clone"
[namespaces."b-2"]
"#;

#[test]
fn policy_parses_every_key() {
    let policy = parse(FULL_POLICY).expect("a policy");
    assert!(policy.locked && policy.tools.require_pins && policy.audit.enforce);
    let ToolPin {
        path,
        version,
        sha256,
    } = &policy.tools.kubectl;
    assert_eq!(path.as_deref(), Some(Path::new("/usr/bin/kubectl")));
    assert!(
        version
            .as_ref()
            .expect("one")
            .matches(&semver::Version::new(1, 35, 9))
    );
    assert_eq!(*sha256, ["a".repeat(64), "b".repeat(64)]);
    let influxctl = policy.tools.pin(ToolName::Influxctl);
    assert_eq!(
        influxctl.path.as_deref(),
        Some(Path::new("/etc/bypassctl/tools/influxctl"))
    );
    assert!(!influxctl.is_pinned() && policy.tools.kubectl.is_pinned());
    let version = influxctl.version.as_ref().expect("one");
    assert!(
        version.matches(&semver::Version::new(2, 10, 2)),
        "without the vendor's suffix"
    );
    assert!(!version.matches(&semver::Version::new(2, 10, 3)));
    assert_eq!(policy.guard.require_plan, ["revoke", "rotate"]);
    assert!(
        policy
            .guard
            .require_reason
            .expect("one")
            .is_match("see CHG-12")
    );
    assert_eq!(
        policy.guard.production.context,
        Some(vec!["*prod*".to_owned(), "eu-?".to_owned()])
    );
    assert_eq!(policy.guard.production.namespace, None);
    assert_eq!(
        policy.audit.file.as_deref(),
        Some(Path::new("/home/ann/audit.jsonl"))
    );
    let expected = NamespaceDefaults {
        profile: Some("clustered".to_owned()),
        config: Some("/etc/bypassctl/config.toml".into()),
        token_file: Some("/run/token".into()),
        restart_selector: Some("app=core".to_owned()),
        ignored_key_users: Some(vec!["app=ingester".to_owned()]),
        key_gen_job: Some("key-gen-1".to_owned()),
        create_admin_token_job: Some("create-admin-token-1".to_owned()),
        rerun: Some(Rerun::Clone),
    };
    assert_eq!(policy.namespaces["influxdb"], expected);
    assert_eq!(policy.namespaces["b-2"], NamespaceDefaults::default());
}

#[test]
fn empty_policy_requires_nothing() {
    let policy = parse("").expect("a policy");
    assert!(!policy.locked && !policy.tools.require_pins && policy.guard.require_plan.is_empty());
    assert!(policy.guard.require_reason.is_none() && policy.audit == AuditPolicy::default());
    let all = parse("[guard]\nrequire_plan = true")
        .expect("a policy")
        .guard
        .require_plan;
    assert_eq!(all, GUARDABLE_COMMANDS);
    assert!(
        parse("guard.require_plan = false")
            .expect("a policy")
            .guard
            .require_plan
            .is_empty()
    );
}

const INVALID_POLICIES: &[&str] = &[
    "[tools",
    "a = 1\na = 2",
    "lokced = true",
    "locked = 1",
    "zzz = 1",
    "tools = 3",
    "[tools]\nrequire_pin = true",
    "[tools.kubctl]\npath = \"/x\"",
    "[tools.kubectl]\nsha265 = [\"\"]",
    "[tools.kubectl]\nsha256 = \"aa\"",
    "[tools.kubectl]\nsha256 = [\"aa\"]",
    "[tools.kubectl]\nsha256 = [7]",
    "[tools.kubectl]\nsha256 = []",
    "[tools.kubectl]\nversion = 1.34",
    "[tools.kubectl]\nversion = \"newest\"",
    "[tools.kubectl]\npath = \"\"",
    "[guard]\nrequire_plan = \"revoke\"",
    "[guard]\nrequire_plan = [\"revok\"]",
    "[guard]\nrequire_reason = \"(\"",
    "[guard]\nrequire_reason = \"\"",
    "[audit]\nfile = \"~root/x\"",
    "[guard]\nproduction = [\"x\"]",
    "[guard]\nproduction = [[\"x\"]]",
    "[guard.production]\ncontext = [\"\"]",
    "[audit]\nenforce = true",
    "[audit]\nfile = \"x\"\nrequire = true",
    "namespaces = 3",
    "[namespaces.Influx]",
    "[namespaces.a]\nrerun = \"clones\"",
    "[namespaces.a]\nrestart_selector = \"-x\"",
    "[namespaces.a]\nignored_key_users = [\"app\"]",
    "[namespaces.a]\nkey_gen_job = \"job/x\"",
    "[namespaces.a]\nprofiles = []",
    "\"\\u001b[31m\" = 1",
];

#[test]
fn invalid_policy_is_an_error() {
    let errors: String = INVALID_POLICIES
        .iter()
        .map(|text| {
            let error = parse(text).expect_err(text);
            format!("{text}\n  {error}\n  hint: {}\n\n", error.hint)
        })
        .collect();
    insta::assert_snapshot!(errors);
    let homeless = PathContext {
        home: None,
        ..make_path_context()
    };
    let no_home = parse_policy("[audit]\nfile = \"~/x\"", &homeless).expect_err("no home");
    assert_eq!(
        no_home.hint,
        "write an absolute path: no home directory is known (HOME, or the account's if locked)"
    );
    assert!(parse_policy("locked = true\n[audit]\nfile = \"~/x\"", &homeless).is_ok());
}

fn make_pinned_tools(version: Option<&str>) -> Vec<PinnedTool> {
    let make = |name: ToolName, digit: &str| PinnedTool {
        name,
        path: Path::new("/opt/new").join(name.as_str()),
        found_at: Path::new("/usr/bin").join(name.as_str()),
        version: version.map(|version| version.parse().expect("a version")),
        sha256: digit.repeat(64),
    };
    vec![make(ToolName::Kubectl, "c"), make(ToolName::Influxctl, "d")]
}

fn pin_policy(text: &str, version: Option<&str>) -> Result<String, PolicyError> {
    pin_tools(text, &make_pinned_tools(version), &make_path_context())
}

#[test]
fn printed_tools_section_is_a_valid_policy() {
    let text = render_tools_section(&make_pinned_tools(Some("1.34.5")), true);
    insta::assert_snapshot!(text);
    let tools = parse(&text).expect("a policy").tools;
    assert!(tools.require_pins && tools.kubectl.is_pinned() && tools.influxctl.is_pinned());
}

#[test]
fn pin_leaves_other_text_unchanged() {
    let text = concat!(
        "# site policy\r\nlocked = true # by us\r\n\r\n[tools] # which\r\n  [tools.kubectl]\r\n",
        "  sha256 = [\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"]",
        " # 1.33\r\n  # end\r\n[audit]\r\nfile = \"x\""
    );
    let after = pin_policy(text, Some("1.34.5")).expect("edited");
    insta::assert_snapshot!(after.replace('\r', "␍"));
    assert_eq!(
        pin_policy(&after, Some("1.34.5")).expect("edited"),
        after,
        "pinning again changes nothing"
    );
    assert_eq!(
        pin_policy(&after, None).expect("edited"),
        after,
        "an unknown version changes nothing"
    );
    let newer = pin_policy(&after, Some("1.34.6")).expect("edited");
    assert_eq!(
        newer,
        after.replace("=1.34.5", "=1.34.6"),
        "an exact version changes with the digest"
    );
    let new = pin_policy("", Some("1.34.5")).expect("edited");
    assert_eq!(
        new,
        render_tools_section(&make_pinned_tools(Some("1.34.5")), true)
    );
}

#[test]
fn pin_keeps_site_version_range_and_digests() {
    let (a, b) = ("a".repeat(64), "b".repeat(64));
    let text = format!(
        "[tools.kubectl]\nversion = \">=1.30, <1.36\" # ours\n\
         sha256 = [\n  \"{a}\", # old\n  \"{b}\", # arm\n]\n[tools.influxctl]\n"
    );
    let after = pin_policy(&text, Some("1.34.5")).expect("edited");
    insta::assert_snapshot!(after);
    assert_eq!(
        pin_policy(&after, Some("1.34.5")).expect("edited"),
        after,
        "pinning again changes nothing"
    );
    let error = pin_policy(&text, Some("1.36.0")).expect_err("outside the range");
    assert_eq!(
        error.to_string(),
        "line 2: kubectl 1.36.0 does not match `version = \">=1.30, <1.36\"`"
    );
}

#[test]
fn pin_refuses_uneditable_tools_section() {
    for text in [
        "tools = {}",
        "tools.kubectl.path = \"/x\"",
        "[tools]\nkubectl = { path = \"/x\" }",
        "[tools.kubectl.x]",
    ] {
        assert!(pin_policy(text, None).is_err(), "{text}");
    }
}

/// Returns the keys that the parser accepts in a section, from its error for an unknown key.
fn list_keys(section: &str) -> Option<Vec<String>> {
    let probe = format!("{section}zzz.zzz = 1");
    let error = parse(&probe).expect_err(&probe);
    let is_unknown = error
        .message
        .starts_with(&format!("unknown key `{section}zzz`"));
    let keys = error
        .hint
        .strip_prefix("write one of ")
        .filter(|_| is_unknown)?;
    Some(
        keys.split(", ")
            .map(|key| format!("{section}{key}"))
            .collect(),
    )
}

fn collect_leaf_keys(key: &str) -> Vec<String> {
    let section = if key == "namespaces" || key == "targets" {
        format!("{key}.a.")
    } else {
        format!("{key}.")
    };
    match list_keys(section.trim_start_matches('.')) {
        Some(keys) => keys.iter().flat_map(|key| collect_leaf_keys(key)).collect(),
        None => vec![key.replace("s.a.", "s.*.")],
    }
}

#[test]
fn target_inherits_from_its_namespace() {
    let target = |text: &str| {
        let policy = parse(text).expect(text);
        policy.targets.get("team a").cloned().expect("the target")
    };
    let own = "[targets.\"team a\"]\ncontext = \"eu-1\"\nnamespace = \"influxdb\"\n";
    let plain = target(own);
    assert_eq!((&*plain.context, &*plain.namespace), ("eu-1", "influxdb"));
    assert_eq!(plain.defaults.profile.as_deref(), Some("team a"));
    let namespace = "[namespaces.influxdb]\nprofile = \"p\"\nrerun = \"clone\"\n\
                     restart_selector = \"app=core\"\nignored_key_users = [\"app=x\"]\n";
    let inherited = target(&format!("{namespace}{own}")).defaults;
    assert_eq!(inherited.profile.as_deref(), Some("team a"));
    assert_eq!(inherited.rerun, Some(Rerun::Clone));
    assert_eq!(inherited.ignored_key_users, Some(vec!["app=x".to_owned()]));
    let more = "profile = \"q\"\nrestart_selector = \"app=own\"\ntoken_file = \"t\"\n";
    let set = target(&format!("{namespace}{own}{more}")).defaults;
    assert_eq!(set.profile.as_deref(), Some("q"));
    assert_eq!(set.restart_selector.as_deref(), Some("app=own"));
    let none = target(&format!("{namespace}{own}ignored_key_users = []\n")).defaults;
    assert_eq!(none.ignored_key_users, Some(Vec::new()));
    let token_file = Path::new("/etc/bypassctl/t");
    assert_eq!(set.token_file.as_deref(), Some(token_file));
}

#[test]
fn invalid_target_is_an_error_with_its_line() {
    let context = "context = \"c\"\n";
    for (text, expected) in [
        (
            format!("\n[targets.a]\n{context}"),
            "line 2: `targets.a` has no `namespace`, add the key",
        ),
        (
            "[targets.a]\nnamespace = \"n\"\n".to_owned(),
            "line 1: `targets.a` has no `context`, add the key",
        ),
        (
            "[targets.a]\ncontext = \"\"\nnamespace = \"n\"\n".to_owned(),
            "line 2: invalid value `` for `targets.a.context`, write the name of a context in the \
             kubeconfig",
        ),
        (
            format!("[targets.\"\"]\n{context}namespace = \"n\"\n"),
            "line 1: invalid target ``, write a name without control characters",
        ),
        (
            format!("[targets.\"a\\u001b\"]\n{context}namespace = \"n\"\n"),
            "line 1: invalid target `a `, write a name without control characters",
        ),
    ] {
        let error = parse(&text).expect_err(&text);
        assert_eq!(format!("{error}, {}", error.hint), expected);
    }
}

/// A key without a class would count as redirecting. A class without a key would be a mistake.
#[test]
fn every_key_has_a_class() {
    let mut keys = collect_leaf_keys("");
    let mut classed: Vec<String> = POLICY_KEYS
        .iter()
        .map(|(key, _)| (*key).to_owned())
        .collect();
    keys.sort();
    classed.sort();
    assert_eq!(keys, classed);
    let list: String = POLICY_KEYS
        .iter()
        .map(|(key, class)| format!("{key} {class:?}\n"))
        .collect();
    insta::assert_snapshot!(list, @"
    locked Tightening
    tools.require_pins Tightening
    tools.kubectl.path Redirecting
    tools.kubectl.version Tightening
    tools.kubectl.sha256 Tightening
    tools.influxctl.path Redirecting
    tools.influxctl.version Tightening
    tools.influxctl.sha256 Tightening
    tools.delivery.sha256 Tightening
    guard.production.context Tightening
    guard.production.namespace Tightening
    guard.production.server Tightening
    guard.require_plan Tightening
    guard.require_reason Tightening
    guard.delete_by_uid Tightening
    guard.prune_clones Redirecting
    audit.file Redirecting
    audit.enforce Redirecting
    namespaces.*.profile Redirecting
    namespaces.*.config Redirecting
    namespaces.*.token_file Redirecting
    namespaces.*.restart_selector Redirecting
    namespaces.*.ignored_key_users Redirecting
    namespaces.*.key_gen_job Redirecting
    namespaces.*.create_admin_token_job Redirecting
    namespaces.*.rerun Redirecting
    targets.*.context Redirecting
    targets.*.namespace Redirecting
    targets.*.profile Redirecting
    targets.*.config Redirecting
    targets.*.token_file Redirecting
    targets.*.restart_selector Redirecting
    targets.*.ignored_key_users Redirecting
    targets.*.key_gen_job Redirecting
    targets.*.create_admin_token_job Redirecting
    targets.*.rerun Redirecting
    ");
}

#[test]
fn unknown_and_nested_keys_count_as_redirecting() {
    let find = |text: &str| -> Vec<String> {
        let table = toml::from_str(text).expect("TOML");
        find_redirections(&table)
            .iter()
            .map(Redirection::describe)
            .collect()
    };
    assert_eq!(
        find("[guard]\nrequire_plan = true\n[namespaces.a]"),
        [""; 0]
    );
    assert_eq!(
        find("later = 1\n[tools.later]\nkey = [\"x\"]"),
        ["later = 1", "tools.later.key = [\"x\"]"]
    );
    assert_eq!(
        find("namespaces.\"a\\u001b\".rerun = \"x\""),
        ["namespaces.a\\u{1b}.rerun = \"x\""]
    );
    let long = format!("audit.file = \"{}\"", "x".repeat(300));
    assert_eq!(find(&long)[0].chars().count(), "audit.file = ".len() + 201);
}
