//! `bypassctl.toml`: discovery, requirements, pins.

mod discovery;
mod pins;
mod requirements;
pub mod targets;
mod tool_commands;
mod tool_replaced;
mod trust;

use crate::sandbox::{CommandOutput, Sandbox, sha256_hex};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

fn create_sandbox_with_own_tools() -> Sandbox {
    // A pin of a file on tmpfs has rules of its own.
    let sb = Sandbox::on_disk();
    install_own_tools(&sb);
    sb
}

/// Replaces the tools, symlinks to one program, with separate files.
pub fn install_own_tools(sb: &Sandbox) {
    for tool in ["kubectl", "influxctl"] {
        let path = sb.path("bin").join(tool);
        let mut bytes = std::fs::read(&path).expect("the fake");
        // The program ignores appended bytes, which give each tool its own digest.
        bytes.extend(tool.bytes());
        std::fs::remove_file(&path).expect("sandbox");
        // Tests write to the file, so a hard link does not do. A renamed copy is never busy.
        let copy = sb.write(format!("tmp/{tool}"), bytes);
        std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).expect("sandbox");
        std::fs::rename(copy, path).expect("sandbox");
    }
}

fn hash_tool(sb: &Sandbox, tool: &str) -> String {
    sha256_hex(&std::fs::read(sb.path("bin").join(tool)).expect("a tool"))
}

/// Writes a policy to the home directory, where all tests run.
fn write_policy(sb: &Sandbox, text: &str) -> PathBuf {
    let path = sb.write("home/bypassctl.toml", text);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("sandbox");
    path
}

/// Writes a policy that the user trusts, so that it may redirect.
pub fn write_trusted_policy(sb: &Sandbox, text: &str) -> PathBuf {
    let path = write_policy(sb, text);
    let trusted = serde_json::json!({ path.to_str().expect("text"): sha256_hex(text.as_bytes()) });
    sb.write(TRUST_STORE, trusted.to_string());
    path
}

const TRUST_STORE: &str = "home/.local/state/bypassctl/trusted-policies.json";

/// Returns a policy that pins both tools.
fn build_pinned_policy(sb: &Sandbox) -> String {
    let pin = |tool| format!("[tools.{tool}]\nsha256 = [\"{}\"]\n", hash_tool(sb, tool));
    format!(
        "[tools]\nrequire_pins = true\n{}{}",
        pin("kubectl"),
        pin("influxctl")
    )
}

fn run_with_exit_code(sb: &Sandbox, code: i32, args: &[&str]) -> CommandOutput {
    let run = sb.run(args);
    assert_eq!(run.code, code, "{args:?}: {}{}", run.stdout, run.stderr);
    run
}

#[test]
fn documented_policy_example_has_every_key() {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/POLICY.md"))
        .expect("the document");
    let example = document
        .split("```toml\n")
        .nth(1)
        .and_then(|text| text.split("```").next())
        .expect("an example");
    let [directory, home] = ["/etc/bypassctl", "/home/admin"].map(std::path::Path::new);
    let places = bypassctl::policy::PathContext {
        directory,
        home: Some(home),
        account_home: None,
    };
    let policy = bypassctl::policy::parse_policy(example, &places).expect(example);
    let debug = format!("{policy:?}")
        .replace("patch: None", "")
        // The command line alone names this program.
        .replace("delivery: ToolPin { path: None, version: None", "");
    assert!(
        !debug.contains("None") && !debug.contains("[]"),
        "the document lacks a key: {debug}"
    );
}
