//! A plan that was begun, and what is left of it.

use super::{CONFIRM, TOKEN, apply, document, file, planned, refused};
use crate::crash::{can_trace, disturbed, end_orphans};
use crate::revoke::{changes, enabled, quick};
use crate::sandbox::Sandbox;
use serde_json::json;

/// No token goes anywhere that was not approved, not even before the rest is compared.
#[test]
fn tokens_are_tried_where_the_plan_says_and_nowhere_else() {
    for begun in [false, true] {
        let sb = if begun {
            cut_short(&["delete", "secrets/admin-token"], &[])
        } else {
            enabled()
        };
        if !begun {
            planned(&sb, &["rotate", "-n", "influxdb"]);
        }
        let text = std::fs::read_to_string(sb.config())
            .expect("text")
            .replace("127.0.0.1", "localhost");
        std::fs::write(sb.config(), text).expect("sandbox");
        refused(&sb, "tokens are tried with [\"127.0.0.1:26444\"", &[]);
        assert!(
            !sb.calls()
                .iter()
                .any(|call| call.argv.iter().any(|word| word == "database")),
            "no token was tried"
        );
    }
}

#[test]
fn a_plan_that_was_cut_short_is_carried_on_with() {
    let sb = cut_short(&["delete", "secrets/admin-token"], &[]);
    let old = sb.read(TOKEN).into_bytes();
    carried_on(&sb);
    assert_ne!(sb.admin_token(), old);
    assert_eq!(sb.read(TOKEN).into_bytes(), sb.admin_token());
    refused(&sb, "this plan was carried out already", &[]);
}

/// The same command again ends what was begun.
fn carried_on(sb: &Sandbox) {
    let run = apply(sb, CONFIRM);
    assert!(
        [0, 10].contains(&run.code) && run.stderr.contains("this plan was begun before"),
        "{}{}",
        run.stdout,
        run.stderr
    );
    assert!(
        run.stderr
            .contains("whether this is the plan that was approved is not known"),
        "{}",
        run.stderr
    );
}

/// A rotation by plan, cut short when its call with these words has taken effect.
fn cut_short(words: &[&str], more: &[&str]) -> Sandbox {
    let sb = enabled();
    planned(&sb, &[&["rotate", "-n", "influxdb"], more].concat());
    sb.fault(json!({"tool": "kubectl", "contains": words, "before": false, "do": "kill_parent"}));
    assert_eq!(apply(&sb, CONFIRM).code, 128 + 9);
    end_orphans(&sb);
    sb.no_faults();
    sb
}

/// Being cut short is no way around what was approved: what is left must be what the plan says of it.
#[test]
fn what_is_not_left_of_a_plan_is_refused() {
    let config = |sb: &Sandbox, from: &str, to: &str| {
        let text = std::fs::read_to_string(sb.config())
            .expect("text")
            .replace(from, to);
        std::fs::write(sb.config(), text).expect("sandbox");
    };
    type Meanwhile<'a> = (&'a str, &'a [&'a str], &'a [&'a str], &'a dyn Fn(&Sandbox));
    let token: &[&str] = &["delete", "secrets/admin-token"];
    let keys: &[&str] = &["delete", "secrets/rsa-keys"];
    let cases: [Meanwhile; 5] = [
        // Somebody else has brought it to its end: those keys and that token are not the plan's to delete.
        ("/uid is \"", token, &[], &|sb| {
            assert!(
                [0, 10].contains(
                    &sb.run(&[&["revoke", "-n", "influxdb"], CONFIRM].concat())
                        .code
                )
            )
        }),
        ("/uid is \"", keys, &[], &|sb| {
            sb.cluster(|cluster| {
                cluster["secrets"]["influxdb/admin-token"]["meta"]["uid"] =
                    json!("00000000-0000-4000-8000-00000000000e")
            });
        }),
        // What the plan's own first run has made.
        ("/uid is \"", &["delete", "pods"], &["--again"], &|_| ()),
        ("/from/uid is \"", token, &[], &|sb| {
            sb.cluster(|cluster| {
                let jobs = cluster["jobs"].as_object_mut().expect("jobs");
                jobs.values_mut().for_each(|job| {
                    job["meta"]["uid"] = json!("00000000-0000-4000-8000-00000000000f")
                });
            });
        }),
        ("/files/0/content/sha256 is \"", token, &[], &|sb| {
            config(sb, "# stand-in cluster", "# another")
        }),
    ];
    for (told, words, more, meanwhile) in cases {
        let sb = cut_short(words, more);
        meanwhile(&sb);
        sb.forget_calls();
        let run = apply(&sb, CONFIRM);
        assert!(
            run.code == 4 && run.stderr.contains(told),
            "{told}: {}{}",
            run.stdout,
            run.stderr
        );
        assert!(
            run.stderr.contains("is not what is left of it"),
            "{told}: {}",
            run.stderr
        );
        // Pods that were on their way out go on going.
        assert_eq!(changes(&sb), "", "{told}");
    }
}

/// A file that a run which was cut short has left is no reason to compare less, and is not touched before the comparison.
#[test]
fn nothing_is_changed_before_the_comparison() {
    let sb = enabled();
    planned(&sb, &["disable"]);
    let mut plan = document(&sb);
    plan["steps"][0]["why"] = json!("because");
    std::fs::write(file(&sb), plan.to_string()).expect("sandbox");
    let left = sb.write(
        "home/.config/influxctl/.config.toml.bypassctl-new",
        "left by a run that was killed",
    );
    refused(&sb, "/steps/0/why is \"because\"", &[]);
    assert!(left.exists());
}

#[test]
fn a_plan_without_anything_to_change_is_carried_out_once_as_well() {
    let sb = enabled();
    planned(&sb, &["enable", "-n", "influxdb"]);
    assert_eq!(apply(&sb, &[]).code, 0);
    refused(&sb, "this plan was carried out already", &[]);
    assert_eq!(apply(&sb, CONFIRM).code, 2, "there is nothing to confirm");
}

/// Steps of one name are told apart by their files.
#[test]
fn two_files_and_two_profiles_are_carried_on_with() {
    let sb = quick();
    let text = sb.read("home/.config/influxctl/config.toml");
    std::fs::write(
        sb.config(),
        format!("{text}\n{}", text.replace("\"default\"", "\"other\"")),
    )
    .expect("sandbox");
    let rotate = [
        "rotate",
        "-n",
        "influxdb",
        "--profile",
        "default",
        "--profile",
        "other",
    ];
    planned(&sb, &rotate);
    // Nothing but the second edit is left.
    let inject = "?rename,?renameat,?renameat2:signal=KILL:when=4";
    if !can_trace() {
        return;
    }
    let run = disturbed(
        &sb,
        &[],
        inject,
        &["apply", "the.plan", "--confirm", "sim-dev/influxdb"],
    );
    assert_eq!(run.code, 128 + 9, "{}", run.stderr);
    end_orphans(&sb);
    carried_on(&sb);
    let text = sb.read("home/.config/influxctl/config.toml");
    assert_eq!(text.matches("token_file = ").count(), 2, "{text}");

    sb.write(
        "home/.config/influxctl/admin-token-named.json",
        sb.admin_token(),
    );
    let named = text.replacen("admin-token-default.json", "admin-token-named.json", 1);
    std::fs::write(sb.config(), named).expect("sandbox");
    sb.forget_calls();
    planned(&sb, &["disable"]);
    let inject = "?unlink,?unlinkat:signal=KILL:when=3";
    let run = disturbed(&sb, &[], inject, &["apply", "the.plan"]);
    assert_eq!(run.code, 128 + 9, "{}{}", run.stdout, run.stderr);
    let run = apply(&sb, &[]);
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    assert!(
        !sb.home(".config/influxctl/admin-token-named.json").exists()
            && !sb
                .home(".config/influxctl/admin-token-default.json")
                .exists()
    );
}

#[test]
fn without_its_record_what_was_begun_is_refused() {
    let sb = cut_short(&["delete", "secrets/rsa-keys"], &[]);
    refused(
        &sb,
        "not as the plan has it",
        &["--audit-log", "elsewhere.jsonl"],
    );
}

/// What is awaited was begun by the plan's own first run: a job that is still at work, or one that kubit has yet to make.
#[test]
fn what_the_first_run_has_set_to_work_is_waited_for() {
    for (by_kubit, words, told) in [
        (
            false,
            ["jobs", "--watch"],
            "   job/key-gen-001 is at work already\n",
        ),
        (
            true,
            ["delete", "job/key-gen-7c9d2b41"],
            "   kubit makes job key-gen-… again\n",
        ),
    ] {
        let sb = enabled();
        if by_kubit {
            sb.operator();
        }
        planned(&sb, &["rotate", "-n", "influxdb"]);
        // Neither a job nor kubit comes to an end before it is looked at.
        let goes_on = |goes_on: bool| {
            sb.cluster(|cluster| {
                cluster["job_seconds"] = json!(if goes_on { 0.05 } else { 60.0 });
                cluster["operator"] = json!(by_kubit && goes_on);
            });
        };
        goes_on(false);
        sb.fault(
            json!({"tool": "kubectl", "contains": words, "before": !by_kubit, "do": "kill_parent"}),
        );
        assert_eq!(apply(&sb, CONFIRM).code, 128 + 9);
        end_orphans(&sb);
        sb.no_faults();
        let looked = sb.run(&["rotate", "-n", "influxdb", "--dry-run"]);
        assert!(
            looked.stdout.contains(told),
            "{}{}",
            looked.stdout,
            looked.stderr
        );
        goes_on(true);
        carried_on(&sb);
        assert_eq!(sb.read(TOKEN).into_bytes(), sb.admin_token(), "{told}");
    }
}
