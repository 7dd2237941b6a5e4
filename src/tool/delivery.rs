//! The program that receives the new token.

use super::Tool;
use super::invocation::{EnvPolicy, Invocation, Sensitivity};

/// Hands the token to a program on standard input. The program can print the token in a form that
/// nothing here recognizes, so its output is not recorded.
pub fn deliver_token(tool: &Tool, args: &[String]) -> Invocation {
    Invocation {
        sensitivity: Sensitivity::Both,
        env_policy: EnvPolicy::Unchanged,
        ..Invocation::new_read(tool, args).into_change()
    }
}
