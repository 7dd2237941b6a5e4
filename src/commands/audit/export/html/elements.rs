//! Elements that several parts of the page use.

use maud::{Markup, html};

/// Renders names and values, without those that have no value.
pub(super) fn render_facts(facts: &[(&str, Option<String>)]) -> Markup {
    html! {
        dl {
            @for (name, value) in facts {
                @if let Some(value) = value { dt { (name) } dd { (value) } "\n" }
            }
        }
    }
}

pub(super) fn render_list(items: &[String]) -> Markup {
    html! {
        @if !items.is_empty() {
            ul { @for item in items { li { (item) } "\n" } }
        }
    }
}
