//! Resuming an interrupted plan.

use super::{
    CONFIRM_ARGS, DEFAULT_TOKEN_FILE, apply_plan, expect_apply_refusal, plan_path, read_plan,
    save_plan,
};
use crate::crash::{can_trace, kill_orphans, run_with_injection};
use crate::revoke::{create_enabled_sandbox, create_fast_sandbox, list_cluster_changes};
use crate::sandbox::Sandbox;
use serde_json::json;

/// No token goes to an unapproved host, not even before the comparison.
#[test]
fn tokens_are_never_probed_at_unplanned_host() {
    for started in [false, true] {
        let sb = if started {
            create_interrupted_rotation(&["delete", "secrets/admin-token"], &[])
        } else {
            create_enabled_sandbox()
        };
        if !started {
            save_plan(&sb, &["rotate", "-n", "influxdb"]);
        }
        let text = std::fs::read_to_string(sb.config_path())
            .expect("text")
            .replace("127.0.0.1", "localhost");
        std::fs::write(sb.config_path(), text).expect("sandbox");
        expect_apply_refusal(&sb, "token probes use [\"127.0.0.1:26444\"", &[]);
        assert!(
            !sb.calls()
                .iter()
                .any(|call| call.argv.iter().any(|word| word == "database")),
            "no token probe ran"
        );
    }
}

#[test]
fn apply_resumes_interrupted_plan() {
    let sb = create_interrupted_rotation(&["delete", "secrets/admin-token"], &[]);
    let old = sb.read(DEFAULT_TOKEN_FILE).into_bytes();
    resume_plan(&sb);
    assert_ne!(sb.admin_token(), old);
    assert_eq!(sb.read(DEFAULT_TOKEN_FILE).into_bytes(), sb.admin_token());
    expect_apply_refusal(&sb, "this plan was already applied", &[]);
}

/// The same command resumes an interrupted plan.
fn resume_plan(sb: &Sandbox) {
    let run = apply_plan(sb, CONFIRM_ARGS);
    assert!(
        [0, 10].contains(&run.code) && run.stderr.contains("an earlier run of this plan"),
        "{}{}",
        run.stdout,
        run.stderr
    );
    assert!(
        run.stderr
            .contains("cannot verify that this is the approved plan"),
        "{}",
        run.stderr
    );
}

/// Applies a plan of a rotation, killed once its call with these words has taken effect.
fn create_interrupted_rotation(words: &[&str], more: &[&str]) -> Sandbox {
    let sb = create_enabled_sandbox();
    save_plan(&sb, &[&["rotate", "-n", "influxdb"], more].concat());
    sb.inject_fault(
        json!({"tool": "kubectl", "contains": words, "before": false, "do": "kill_parent"}),
    );
    assert_eq!(apply_plan(&sb, CONFIRM_ARGS).code, 128 + 9);
    kill_orphans(&sb);
    sb.clear_faults();
    sb
}

/// An interruption does not weaken the approval: the remaining steps must equal the plan's.
#[test]
fn apply_refuses_resume_when_remaining_steps_differ() {
    let config = |sb: &Sandbox, from: &str, to: &str| {
        let text = std::fs::read_to_string(sb.config_path())
            .expect("text")
            .replace(from, to);
        std::fs::write(sb.config_path(), text).expect("sandbox");
    };
    type DriftCase<'a> = (&'a str, &'a [&'a str], &'a [&'a str], &'a dyn Fn(&Sandbox));
    let token: &[&str] = &["delete", "secrets/admin-token"];
    let keys: &[&str] = &["delete", "secrets/rsa-keys"];
    let cases: [DriftCase; 5] = [
        // Somebody else completed the rotation. The plan must not delete the new keys and token.
        ("`uid` of step `", token, &[], &|sb| {
            assert!(
                [0, 10].contains(
                    &sb.run(&[&["revoke", "-n", "influxdb"], CONFIRM_ARGS].concat())
                        .code
                )
            )
        }),
        ("`uid` of step `", keys, &[], &|sb| {
            sb.edit_cluster(|cluster| {
                cluster["secrets"]["influxdb/admin-token"]["meta"]["uid"] =
                    json!("00000000-0000-4000-8000-00000000000e")
            });
        }),
        // These objects come from the plan's own first run.
        (
            "`uid` of step `",
            &["delete", "pods"],
            &["--start-over"],
            &|_| (),
        ),
        ("`source.uid` of step `", token, &[], &|sb| {
            sb.edit_cluster(|cluster| {
                let jobs = cluster["jobs"].as_object_mut().expect("jobs");
                jobs.values_mut().for_each(|job| {
                    job["meta"]["uid"] = json!("00000000-0000-4000-8000-00000000000f")
                });
            });
        }),
        ("config.toml` is \"", token, &[], &|sb| {
            config(sb, "# stand-in cluster", "# another")
        }),
    ];
    for (expected, words, more, meanwhile) in cases {
        let sb = create_interrupted_rotation(words, more);
        meanwhile(&sb);
        sb.clear_calls();
        let run = apply_plan(&sb, CONFIRM_ARGS);
        assert!(
            run.code == 4 && run.stderr.contains(expected),
            "{expected}: {}{}",
            run.stdout,
            run.stderr
        );
        assert!(
            run.stderr.contains("the remaining steps differ"),
            "{expected}: {}",
            run.stderr
        );
        // Terminating pods continue to terminate.
        assert_eq!(list_cluster_changes(&sb), "", "{expected}");
    }
}

/// A leftover of an interrupted run changes nothing in the comparison, and stays until after it.
#[test]
fn apply_keeps_stale_files_when_plan_differs() {
    let sb = create_enabled_sandbox();
    save_plan(&sb, &["disable"]);
    let mut plan = read_plan(&sb);
    plan["steps"][0]["reason"] = json!("because");
    std::fs::write(plan_path(&sb), plan.to_string()).expect("sandbox");
    let leftover = sb.write(
        "home/.config/influxctl/.config.toml.bypassctl-new",
        "left by a run that was killed",
    );
    expect_apply_refusal(&sb, "`reason` of step `delete-token` is \"because\"", &[]);
    assert!(leftover.exists());
}

#[test]
fn plan_without_changes_is_applied_only_once() {
    let sb = create_enabled_sandbox();
    save_plan(&sb, &["enable", "-n", "influxdb"]);
    assert_eq!(apply_plan(&sb, &[]).code, 0);
    expect_apply_refusal(&sb, "this plan was already applied", &[]);
    assert_eq!(
        apply_plan(&sb, CONFIRM_ARGS).code,
        2,
        "a finished plan needs no confirmation"
    );
}

/// Files distinguish steps of the same name.
#[test]
fn apply_resumes_with_several_files_and_profiles() {
    let sb = create_fast_sandbox();
    let text = sb.read("home/.config/influxctl/config.toml");
    std::fs::write(
        sb.config_path(),
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
    save_plan(&sb, &rotate);
    // Only the second edit is pending.
    let inject = "?rename,?renameat,?renameat2:signal=KILL:when=4";
    if !can_trace() {
        return;
    }
    let run = run_with_injection(
        &sb,
        &[],
        inject,
        &["apply", "the.plan", "--confirm", "sim-dev/influxdb"],
    );
    assert_eq!(run.code, 128 + 9, "{}", run.stderr);
    kill_orphans(&sb);
    resume_plan(&sb);
    let text = sb.read("home/.config/influxctl/config.toml");
    assert_eq!(text.matches("token_file = ").count(), 2, "{text}");

    sb.write(
        "home/.config/influxctl/admin-token-named.json",
        sb.admin_token(),
    );
    let named = text.replacen("admin-token-default.json", "admin-token-named.json", 1);
    std::fs::write(sb.config_path(), named).expect("sandbox");
    sb.clear_calls();
    save_plan(&sb, &["disable"]);
    let inject = "?unlink,?unlinkat:signal=KILL:when=3";
    let run = run_with_injection(&sb, &[], inject, &["apply", "the.plan"]);
    assert_eq!(run.code, 128 + 9, "{}{}", run.stdout, run.stderr);
    let run = apply_plan(&sb, &[]);
    assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    assert!(
        !sb.home_path(".config/influxctl/admin-token-named.json")
            .exists()
            && !sb
                .home_path(".config/influxctl/admin-token-default.json")
                .exists()
    );
}

#[test]
fn apply_refuses_resume_without_its_audit_log() {
    let sb = create_interrupted_rotation(&["delete", "secrets/rsa-keys"], &[]);
    expect_apply_refusal(
        &sb,
        "differs from the plan",
        &["--audit-log", "elsewhere.jsonl"],
    );
}

/// The plan's own first run started the awaited job, or deleted the one that kubit must recreate.
#[test]
fn resumed_apply_waits_for_jobs_already_started() {
    for (by_kubit, words, expected) in [
        (
            false,
            ["jobs", "--watch"],
            "   job/key-gen-001 already runs\n",
        ),
        (
            true,
            ["delete", "job/key-gen-7c9d2b41"],
            "   kubit recreates job key-gen-…\n",
        ),
    ] {
        let sb = create_enabled_sandbox();
        if by_kubit {
            sb.install_operator();
        }
        save_plan(&sb, &["rotate", "-n", "influxdb"]);
        // Neither the job nor kubit may finish before the resumed run reads the state.
        let goes_on = |goes_on: bool| {
            sb.edit_cluster(|cluster| {
                cluster["job_seconds"] = json!(if goes_on { 0.05 } else { 60.0 });
                cluster["operator"] = json!(by_kubit && goes_on);
            });
        };
        goes_on(false);
        sb.inject_fault(
            json!({"tool": "kubectl", "contains": words, "before": !by_kubit, "do": "kill_parent"}),
        );
        assert_eq!(apply_plan(&sb, CONFIRM_ARGS).code, 128 + 9);
        kill_orphans(&sb);
        sb.clear_faults();
        let looked = sb.run(&["rotate", "-n", "influxdb", "--dry-run"]);
        assert!(
            looked.stdout.contains(expected),
            "{}{}",
            looked.stdout,
            looked.stderr
        );
        goes_on(true);
        resume_plan(&sb);
        assert_eq!(
            sb.read(DEFAULT_TOKEN_FILE).into_bytes(),
            sb.admin_token(),
            "{expected}"
        );
    }
}
