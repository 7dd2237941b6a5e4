//! Plans as data, with renderings as text, JSON and shell script.

mod checksum;
mod revocation;
mod script;
mod secret_name;
mod shell;
mod step;
mod summary;
mod target;
mod text;
mod view;

pub use revocation::{
    CloneDeletion, ExpectedCluster, ExpectedSecret, JobRun, JobStrategy, PodRestart,
    RejectionCheck, SecretDeletion, TokenInventory, TokenProbe, VerificationStep,
};
pub use script::render_script;
pub use secret_name::SecretName;
pub use shell::{format_shell_line, shell_quote};
pub use step::{Action, Plan, Step};
pub use summary::{ChangeKind, PlanSummary};
pub use target::ClusterTarget;
pub use view::StepView;
