//! All that `-o json` prints, in whatever test, is what `docs/schema` says.

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;
use std::ffi::OsStr;
use std::path::Path;
use std::process::Command;
use std::sync::LazyLock;

/// Where the schemas are, for each other; nothing is there.
const BASE: &str = "https://schemas.invalid/";

static REPORT: LazyLock<(Schemas, SchemaIndex)> = LazyLock::new(|| compiled("report.json"));
static PLAN: LazyLock<(Schemas, SchemaIndex)> = LazyLock::new(|| compiled("plan.json"));

fn compiled(name: &str) -> (Schemas, SchemaIndex) {
    let (mut compiler, mut schemas) = (Compiler::new(), Schemas::new());
    for name in ["report.json", "plan.json"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/schema").join(name);
        let schema = serde_json::from_slice(&std::fs::read(file).expect("a schema")).expect("JSON");
        compiler.add_resource(&format!("{BASE}{name}"), schema).expect("a schema");
    }
    let index = compiler.compile(&format!("{BASE}{name}"), &mut schemas).expect("a schema");
    (schemas, index)
}

fn validated((schemas, index): &(Schemas, SchemaIndex), text: &str) -> Value {
    let object: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    schemas.validate(&object, *index).unwrap_or_else(|error| panic!("{error:#}\n{text}"));
    object
}

/// What `-o json` printed, or the test fails: it is not the one object that is documented.
pub fn report(text: &str) -> Value {
    validated(&REPORT, text)
}

/// A plan that was written down, likewise.
pub fn plan(text: &str) -> Value {
    validated(&PLAN, text)
}

/// Whether a command line of bypassctl asks for JSON.
pub fn is_asked_for(command: &Command) -> bool {
    let words: Vec<&OsStr> = command.get_args().collect();
    let two = words.windows(2).any(|two| ["-o", "--output"].map(OsStr::new).contains(&two[0]) && two[1] == "json");
    command.get_program() == env!("CARGO_BIN_EXE_bypassctl")
        && (two || words.iter().any(|word| ["-ojson", "--output=json"].map(OsStr::new).contains(word)))
}
