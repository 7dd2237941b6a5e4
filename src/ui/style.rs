//! The colours. None of them carries a meaning that the words lack.

use anstyle::{AnsiColor, Style};

pub(super) const SUCCESS_STYLE: Style = AnsiColor::Green.on_default();
pub(super) const WARNING_STYLE: Style = AnsiColor::Yellow.on_default();
pub(super) const ERROR_STYLE: Style = AnsiColor::Red.on_default().bold();
pub(super) const DIM_STYLE: Style = Style::new().dimmed();
pub(super) const HEADING_STYLE: Style = Style::new().bold();
